/* The one script: everything works without it, this makes it live. What it does is asked for by attributes:
 *
 * body data-stream="URL"    server-sent events of what is open on the page (http/live.h): the first line of the data is a key, the rest HTML
 *     HTML             new content of the elements with data-live="key"; with the key `toast`: a sentence that goes by itself
 *     no HTML          one change more of what data-stale="key" shows: "3 changes since you opened this: refresh"
 * data-when="good"          on a region: the page is loaded anew when an element .good appears in it
 * data-ago, data-time       <time>: relative text, or the moment, in the viewer's zone and language
 * data-suggest="URL"        a search box: URL?fragment=1&q=… answers <ul><li><a>; `/` goes there, arrows walk, Escape closes
 * table data-rows           j, k walk the links a.row; Enter opens; x ticks
 * data-check-all="name"     a tick in a hidden label: shown, ticks all boxes of that name
 * data-copy="id"            a hidden button: shown, copies the text of #id
 * data-confirm="text"       an input: the form's button works when exactly this was typed
 * data-themes               hidden buttons with value "", "light", "dark": shown, pin the theme (cookie `theme`)
 * data-undo="10"            a form that goes after so many seconds, counting down
 * form data-webauthn="create|get"   a passkey ceremony before it is sent. It contains <script type="application/json"> with the options as in
 *     WebAuthn's PublicKeyCredentialCreationOptionsJSON / …RequestOptionsJSON (bytes in base64url), and an element data-error for what went wrong.
 *     Sent besides its own fields, all base64url: credential_id, client_data, authenticator_data; create: attestation, transports ("usb nfc"),
 *     public_key (SPKI), algorithm (-7); get: signature, user_handle. data-auto: begins at once. What has data-passkey is shown only where
 *     the browser knows passkeys, data-no-passkey only where not.
 */
(() => {
"use strict";
const $ = (q, e = document) => e.querySelector(q);
const all = (q, f, e = document) => e.querySelectorAll(q).forEach(f);
const on = (t, f, e = document) => e.addEventListener(t, f);
const make = (tag, props, ...kids) => { const e = Object.assign(document.createElement(tag), props); e.append(...kids); return e; };

/* HTML of our own origin; scripts and events would not run (CSP), and are taken out all the same. */
const fragment = html => {
	const t = make("template");
	t.innerHTML = html;
	all("script,style,iframe,object,embed,base,meta,link", e => e.remove(), t.content);
	all("*", e => { for (const a of [...e.attributes]) if (/^on|^style$/i.test(a.name) || /^\s*javascript:/i.test(a.value)) e.removeAttribute(a.name); }, t.content);
	return t.content;
};

/* ---- times ---- */
const zone = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const units = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const times = root => {
	all("time[data-ago],time[data-time]", e => {
		const at = new Date(e.dateTime), s = Math.round((at - Date.now()) / 1000);
		if (isNaN(at)) return;
		const full = zone.format(at), [unit, size] = units.find(u => Math.abs(s) >= u[1]) || units[5];
		e.title = "ago" in e.dataset ? full : e.dateTime;
		e.textContent = !("ago" in e.dataset) ? full : Math.abs(s) < 10 ? "just now" : relative.format(Math.trunc(s / size), unit);
	}, root);
};

/* ---- toasts ---- */
const toast = (tone, text) => {
	const box = $(".toasts") || document.body.appendChild(make("div", { className: "toasts", role: "status", ariaLive: "polite" }));
	const t = make("div", { className: "notice " + (/^(good|warn|bad)$/.test(tone) ? tone : "plain") }, make("p", { textContent: text }));
	box.append(t);
	setTimeout(() => t.remove(), tone === "bad" ? 15000 : 6000);
};

/* ---- the stream ---- */
const stream = url => {
	const source = new EventSource(url);
	const changes = {};
	source.onmessage = m => {
		const [key, ...rest] = m.data.split("\n"), html = rest.join("\n"), name = CSS.escape(key);
		if (key === "toast") return toast("plain", fragment(html).textContent);
		if (html) return all(`[data-live="${name}"]`, e => {
			if (e !== document.activeElement && e.contains(document.activeElement)) return;
			e.replaceChildren(fragment(html));
			times(e);
			if (e.dataset.when && $("." + CSS.escape(e.dataset.when), e)) location.reload();
		});
		all(`[data-stale="${name}"]`, e => {
			const n = changes[key] = (changes[key] || 0) + 1;
			e.replaceChildren(`${n} ${n === 1 ? "change" : "changes"} since you opened this: `, make("a", { href: location.href, textContent: "refresh" }));
			e.hidden = false;
		});
	};
	/* refused for good: is the session over? */
	source.onerror = () => source.readyState === 2 && fetch(location.href, { method: "HEAD" }).then(r => r.redirected && location.reload(), () => {});
	on("pagehide", () => source.close(), window);
	on("pageshow", e => e.persisted && location.reload(), window);
};

/* ---- search ---- */
const suggest = input => {
	const list = make("div", { className: "suggest", id: "suggest", hidden: true });
	let asked = 0, timer;
	list.setAttribute("aria-label", "Found");
	input.form.append(list);
	const close = () => { asked++; list.hidden = true; };
	const ask = async () => {
		const mine = ++asked, q = input.value.trim();
		if (!q) return close();
		try {
			const r = await fetch(`${input.dataset.suggest}?fragment=1&q=${encodeURIComponent(q)}`, { headers: { Accept: "text/html" } });
			if (mine !== asked || !r.ok || r.redirected) return;
			list.replaceChildren(fragment(await r.text()));
			list.hidden = false;
		} catch { close(); }
	};
	on("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); }, input);
	on("keydown", e => {
		const links = [...list.querySelectorAll("a")], at = links.indexOf(document.activeElement);
		if (e.key === "Escape") { close(); input.focus(); }
		if (list.hidden || !/^Arrow(Up|Down)$/.test(e.key) || !links.length) return;
		e.preventDefault();
		(links[at + (e.key === "ArrowDown" ? 1 : -1)] || input).focus();
	}, input.form);
	on("focusout", e => { if (!input.form.contains(e.relatedTarget)) close(); }, input.form);
};

/* ---- keys ---- */
const is_typing = e => e.target.closest("input:not([type=checkbox],[type=radio]),textarea,select,[contenteditable]") || e.ctrlKey || e.metaKey || e.altKey;
on("keydown", e => {
	if (e.key === "Escape") all("details.me[open]", d => { d.open = false; $("summary", d).focus(); });
	if (is_typing(e)) return;
	if (e.key === "/" && $("#q")) { e.preventDefault(); $("#q").select(); return; }
	const rows = [...document.querySelectorAll("table[data-rows] tbody tr")].filter(r => $("a.row", r));
	const at = rows.findIndex(r => r.contains(document.activeElement));
	if ((e.key === "j" || e.key === "k") && rows.length)
		$("a.row", rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + (e.key === "j" ? 1 : -1)))]).focus();
	if (e.key === "x" && at >= 0) $("input[type=checkbox]", rows[at])?.click();
});
on("click", e => all("details.me[open]", d => { if (!d.contains(e.target)) d.open = false; }));

/* ---- small things ---- */
const copy = async (button, from) => {
	const text = from.value ?? from.textContent;
	try {
		await navigator.clipboard.writeText(text);
	} catch { /* no clipboard without https: the old way */
		const range = document.createRange();
		range.selectNodeContents(from);
		getSelection().removeAllRanges();
		getSelection().addRange(range);
		if (!document.execCommand("copy")) return toast("warn", "Press Ctrl+C to copy.");
	}
	const was = button.textContent;
	button.textContent = "Copied";
	setTimeout(() => { button.textContent = was; }, 1500);
};
const themes = box => {
	const show = t => all("button", b => { b.ariaPressed = String(b.value === t); }, box);
	box.hidden = false;
	show(document.documentElement.dataset.theme || "");
	on("click", e => {
		const b = e.target.closest("button");
		if (!b) return;
		if (b.value) document.documentElement.dataset.theme = b.value;
		else delete document.documentElement.dataset.theme;
		document.cookie = `theme=${b.value};path=/;samesite=lax;max-age=${b.value ? 31536000 : 0}`;
		show(b.value);
	}, box);
};
const undo = form => { /* counts where no screen reader is told each second */
	const b = $("button", form);
	let left = Number(form.dataset.undo);
	const tick = () => { if (left > 0) { b.dataset.left = left--; setTimeout(tick, 1000); } else form.remove(); };
	tick();
};
const confirm_typed = input => {
	const b = $("button[type=submit]", input.form), check = () => { b.disabled = input.value.trim() !== input.dataset.confirm; };
	on("input", check, input);
	check();
};

/* ---- passkeys ---- */
const bytes = s => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
const text = b => b ? btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "") : "";
const reasons = {
	NotAllowedError: "That was cancelled, or took too long. Try again.",
	InvalidStateError: "This device has a passkey of yours already.",
	SecurityError: "Passkeys work only over https and with the portal's own name.",
	NotSupportedError: "This device cannot make such a passkey.",
};
const ceremony = async (form, kind) => {
	const o = JSON.parse($("script[type='application/json']", form).textContent), list = l => l?.map(c => ({ ...c, id: bytes(c.id) }));
	o.challenge = bytes(o.challenge);
	if (o.user) o.user.id = bytes(o.user.id);
	o.allowCredentials = list(o.allowCredentials);
	o.excludeCredentials = list(o.excludeCredentials);
	for (const k of ["allowCredentials", "excludeCredentials"]) if (!o[k]) delete o[k];
	const c = await navigator.credentials[kind]({ publicKey: o }), r = c.response;
	const fields = { credential_id: text(c.rawId), client_data: text(r.clientDataJSON), authenticator_data: text(r.authenticatorData ?? r.getAuthenticatorData?.()) };
	if (kind === "create")
		Object.assign(fields, { attestation: text(r.attestationObject), transports: (r.getTransports?.() || []).join(" "), public_key: text(r.getPublicKey?.()), algorithm: r.getPublicKeyAlgorithm?.() ?? "" });
	else
		Object.assign(fields, { signature: text(r.signature), user_handle: text(r.userHandle) });
	for (const [name, value] of Object.entries(fields)) {
		form.elements[name]?.remove();
		form.append(make("input", { type: "hidden", name, value }));
	}
};
const webauthn = form => {
	const fail = s => { const e = $("[data-error]", form); if (e) { e.textContent = s; e.hidden = false; } else toast("bad", s); };
	let busy = false;
	on("submit", async e => {
		e.preventDefault();
		if (busy) return;
		busy = true;
		try {
			await ceremony(form, form.dataset.webauthn === "create" ? "create" : "get");
			form.submit();
		} catch (x) { fail(reasons[x.name] || `That did not work: ${x.message}`); }
		busy = false;
	}, form);
	if ("auto" in form.dataset) form.requestSubmit();
};
const knows_passkeys = !!(window.PublicKeyCredential && navigator.credentials);

/* ---- begin ---- */
$(".rail [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
all("[data-copy]", b => { b.hidden = false; on("click", () => copy(b, document.getElementById(b.dataset.copy)), b); });
all("[data-suggest]", suggest);
all("[data-themes]", themes);
all("form[data-undo]", undo);
all("[data-confirm]", confirm_typed);
all("[data-check-all]", b => {
	b.parentNode.hidden = false;
	on("change", () => all(`input[name="${CSS.escape(b.dataset.checkAll)}"]`, i => { i.checked = b.checked; }), b);
});
all("[data-passkey]", e => { e.hidden = !knows_passkeys; });
all("[data-no-passkey]", e => { e.hidden = knows_passkeys; });
if (knows_passkeys) all("form[data-webauthn]", webauthn);
times(document);
setInterval(() => document.hidden || times(document), 30000);
if (document.body.dataset.stream && window.EventSource) stream(document.body.dataset.stream);
})();
