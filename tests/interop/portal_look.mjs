// See test_portal_look.sh: portal_look.mjs DRIVER ASSETS AXE WORK SHOTS
import { execFileSync } from "node:child_process";
import { createHash, createPublicKey, verify } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { launch } from "./chromium.mjs";

const [driver, assets, axe, work, shots] = process.argv.slice(2);
const pause = ms => new Promise(r => setTimeout(r, ms));
const types = { css: "text/css", js: "text/javascript", svg: "image/svg+xml" };
const streams = new Set(), posts = [];
const challenge = "Q0hBTExFTkdFLUNIQUxMRU5HRS1DSEFMTEVOR0U";
const options = {
	create: { rp: { id: "localhost", name: "Acme" }, user: { id: "AAEC", name: "ada@example.com", displayName: "Ada" }, challenge, timeout: 20000,
		pubKeyCredParams: [{ type: "public-key", alg: -7 }], excludeCredentials: [], authenticatorSelection: { residentKey: "required", userVerification: "required" } },
	get: { rpId: "localhost", challenge, timeout: 20000, userVerification: "required" },
};

const server = createServer((q, a) => {
	const url = new URL(q.url, "http://localhost"), name = url.pathname.slice(1);
	const answer = (type, body) => { a.writeHead(200, { "Content-Type": type }); a.end(body); };
	if (q.method === "POST") {
		let body = "";
		q.on("data", d => { body += d; }).on("end", () => { posts.push(new URLSearchParams(body)); answer("text/html", "<!doctype html><title>posted</title><link rel=icon href=data:,>"); });
	} else if (url.pathname.endsWith("/live")) {
		a.writeHead(200, { "Content-Type": "text/event-stream" });
		a.write("retry: 300\n\n");
		streams.add(a);
		a.on("close", () => streams.delete(a));
	} else if (url.searchParams.get("fragment")) {
		answer("text/html", `<ul><li><a href="/found">${url.searchParams.get("q") === "ber" ? "Berlin" : "nothing"}</a></li></ul><script>document.title="script ran"</script><img src=x alt="" onerror="document.title='event ran'">`);
	} else if (existsSync(`${assets}/${name}`) && name) {
		answer(types[name.split(".").pop()], readFileSync(`${assets}/${name}`));
	} else if (name.startsWith("page-")) {
		/* the policy of applets/portal/http/headers.c */
		a.setHeader("Content-Security-Policy", "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self' 'nonce-nonce'; connect-src 'self'; " +
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
		const json = JSON.stringify(options[url.searchParams.get("ceremony")] || {});
		answer("text/html; charset=utf-8", execFileSync(driver, [name.slice(5), url.searchParams.get("theme") || "", json]));
	} else {
		a.writeHead(404).end();
	}
});

let failed = 0;
async function check(name, f) {
	try {
		await f();
		console.log(`ok look_${name}`);
	} catch (e) {
		failed++;
		console.log(`not ok look_${name}\n    ${String(e.stack || e).split("\n").slice(0, 4).join("\n    ")}`);
	}
}
function expect(value, what) {
	if (!value)
		throw new Error(what);
}
const same = (a, b, what) => expect(a === b, `${what}: ${JSON.stringify(a)} instead of ${JSON.stringify(b)}`);
const quiet = page => same(page.complaints.join("; "), "", "complaints");
/* hostile fragments are stopped twice: what the policy says of them is no complaint */
const forgive = page => { page.complaints = page.complaints.filter(c => !/Content Security Policy|localhost:\d+\/x$/.test(c)); };

await new Promise(r => server.listen(0, "localhost", r));
const origin = `http://localhost:${server.address().port}`;
const browser = await launch(work);
if (!browser) {
	console.log("skip portal_look: Chromium does not start");
	process.exit(0);
}
const names = execFileSync(driver, ["names"]).toString().trim().split("\n");
const event = (...lines) => { for (const s of streams) s.write(lines.map(l => `data: ${l}\n`).join("") + "\n"); };
/* a page, a tab, a thing to do, nothing to complain about */
const on = (path, f, how) => async () => {
	const page = await browser.page(how);
	for (let i = 0; i < 600 && streams.size; i++)
		await pause(50); /* those of tabs that were closed */
	try {
		await page.go(`${origin}/${path}`);
		await f(page);
		quiet(page);
	} finally {
		await page.close();
	}
};

for (const [width, dark] of [[1280, false], [1280, true], [375, false], [375, true]])
	await check(`pages_fit_${width}_${dark ? "dark" : "light"}`, async () => {
		for (const name of names) {
			const page = await browser.page({ width, dark });
			await page.go(`${origin}/page-${name}`);
			const over = await page.run(() => document.documentElement.scrollWidth - innerWidth);
			expect(over <= 0, `${name} is ${over} pixels wider than the screen`);
			const bg = await page.run(() => getComputedStyle(document.body).backgroundColor);
			expect((parseInt(bg.match(/\d+/)[0]) < 128) === dark, `${name}: background ${bg}`);
			await page.screenshot(`${shots}/${name}-${width}-${dark ? "dark" : "light"}.png`);
			quiet(page);
			if (existsSync(axe)) {
				await page.run(readFileSync(axe, "utf8").replace(/^/, "() => {").concat("}"));
				const found = await page.run(async () => (await axe.run()).violations.map(v => `${v.impact} ${v.id}: ${v.nodes.map(n => n.html.slice(0, 100)).join(" | ")}`));
				same(found.join("\n"), "", `axe on ${name}`);
			}
			await page.close();
		}
	});
if (!existsSync(axe))
	console.log("skip look_axe: axe-core cannot be had");

await check("pages_are_whole_without_script", async () => {
	for (const name of names) {
		const page = await browser.page({ scripts: false });
		await page.go(`${origin}/page-${name}`);
		const { root } = await page.send("DOM.getDocument", { depth: -1 });
		const { nodeId } = await page.send("DOM.querySelector", { nodeId: root.nodeId, selector: "main h1" });
		expect(nodeId > 0, `${name} has no title`);
		quiet(page);
		await page.close();
	}
});

await check("a_pinned_theme_wins", on("page-list?theme=dark", async page => {
	const bg = await page.run(() => getComputedStyle(document.body).backgroundColor);
	expect(parseInt(bg.match(/\d+/)[0]) < 128, bg);
}));

await check("the_theme_is_pinned_by_a_cookie", on("page-list", async page => {
	await page.click(".me summary");
	await page.click(".themes [value=dark]");
	same(await page.run(() => document.documentElement.dataset.theme), "dark", "theme");
	same(await page.run(() => document.cookie), "theme=dark", "cookie");
	await page.click(".themes [value='']");
	same(await page.run(() => document.cookie), "", "cookie");
	await page.press("Escape");
	same(await page.run(() => document.querySelector(".me").open), false, "menu");
}));

await check("regions_are_kept_fresh", on("page-list", async page => {
	for (let i = 0; i < 600 && !streams.size; i++)
		await pause(50);
	event("gateway-1", '<span class="status bad">offline</span>', "<script>document.title='script ran'</script><b onclick=x() style=color:red>b</b>");
	await page.until(() => document.querySelector("[data-live=gateway-1] .bad"));
	expect(await page.run(() => !document.querySelector("[data-live=gateway-1] script, [data-live=gateway-1] [onclick], [data-live=gateway-1] [style]")), "a script came in");
	event("sites");
	event("sites");
	await page.until(() => document.querySelector("#stale").textContent === "2 changes since you opened this: refresh" && !document.querySelector("#stale").hidden);
	event("toast", "Berlin <b>is</b> back.");
	await page.until(() => document.querySelector(".toasts .notice")?.textContent === "Berlin is back.");
	event("no\"such]key", "<b>x</b>");
	event("deploy", '<span class="status good">connected</span>');
	await page.load(() => {});
	forgive(page);
}));

await check("search_answers_while_typing", on("page-list", async page => {
	await page.press("/");
	same(await page.run(() => document.activeElement.id), "q", "focus");
	await page.send("Input.insertText", { text: "ber" });
	await page.until(() => document.querySelector(".suggest a")?.textContent === "Berlin");
	await page.press("ArrowDown");
	same(await page.run(() => document.activeElement.textContent), "Berlin", "focus");
	same(await page.run(() => document.title.includes("ran")), false, "a script of a fragment ran");
	await page.press("Escape");
	same(await page.run(() => document.querySelector(".suggest").hidden), true, "suggestions");
	forgive(page);
}));

await check("rows_are_walked_by_keys", on("page-list", async page => {
	const at = () => page.run(() => document.activeElement.textContent);
	await page.press("j");
	const first = await at();
	await page.press("j");
	const second = await at();
	expect(first && second && first !== second, `${first}, ${second}`);
	await page.press("k");
	same(await at(), first, "focus");
	await page.type("#q", "");
	await page.press("j");
	same(await page.run(() => document.activeElement.id), "q", "typing moved the focus");
}));

await check("rows_are_ticked_by_keys_and_all_at_once", on("page-list", async page => {
	const ticked = () => page.run(() => document.querySelectorAll("input[name=id]:checked").length);
	await page.press("j");
	await page.press("x");
	same(await ticked(), 1, "ticked");
	await page.click("[data-check-all]");
	same(await ticked(), 5, "ticked");
	await page.load(() => page.click(".bulk button.danger"));
	const sent = posts.pop();
	same(sent.get("do"), "delete", "action");
	same(sent.getAll("id").length, 5, "ids");
	same(sent.get("_csrf"), "csrf", "csrf");
}));

await check("undo_goes_when_its_time_is_over", on("page-list", async page => {
	await page.until(() => document.querySelector("[data-undo] button").dataset.left > 0);
	await page.until(() => !document.querySelector("[data-undo]"));
}));

await check("times_are_the_viewers", on("page-list", async page => {
	expect(/^(in )?\d+ \w+( ago)?$/.test(await page.run(() => document.querySelector("time[data-ago]").textContent)), "relative");
	expect((await page.run(() => document.querySelector("time[data-ago]").title)).length > 8, "title");
}));

await check("deletion_waits_for_the_name", on("page-confirm", async page => {
	const disabled = () => page.run(() => document.querySelector("button.danger").disabled);
	same(await disabled(), true, "the button");
	await page.type("[data-confirm]", "Berl");
	same(await disabled(), true, "the button");
	await page.type("[data-confirm]", "Berlin");
	same(await disabled(), false, "the button");
}));

await check("a_secret_is_copied", on("page-detail", async page => {
	await browser.send("Browser.grantPermissions", { permissions: ["clipboardReadWrite", "clipboardSanitizedWrite"], browserContextId: page.context });
	await page.click("[data-copy]");
	await page.until(() => document.querySelector("[data-copy]").textContent === "Copied");
	same(await page.run(() => navigator.clipboard.readText()), await page.run(() => document.querySelector(".copy pre").textContent), "clipboard");
}));

/* Both ceremonies in one tab, for the authenticator lives as long as it. */
await check("passkeys_are_made_and_used", on("page-passkey-create?ceremony=create", async page => {
	await page.send("WebAuthn.enable");
	await page.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
	await page.load(() => page.click("form[data-webauthn] button"));
	const bytes = s => Buffer.from(s, "base64url");
	const made = posts.pop();
	for (const k of ["credential_id", "client_data", "authenticator_data", "attestation", "public_key"])
		expect(/^[\w-]+$/.test(made.get(k)), `${k}: ${made.get(k)}`);
	same(made.get("algorithm"), "-7", "algorithm");
	same(made.get("transports"), "internal", "transports");
	same(made.get("_csrf"), "csrf", "csrf");
	const said = JSON.parse(bytes(made.get("client_data")));
	same(said.challenge, challenge, "challenge");
	same(said.origin, origin, "origin");
	await page.go(`${origin}/page-passkey-get?ceremony=get`);
	await page.load(() => page.click("form[data-webauthn] button"));
	const used = posts.pop();
	same(used.get("credential_id"), made.get("credential_id"), "credential");
	same(used.get("user_handle"), "AAEC", "user handle");
	const key = createPublicKey({ key: bytes(made.get("public_key")), format: "der", type: "spki" });
	const signed = Buffer.concat([bytes(used.get("authenticator_data")), createHash("sha256").update(bytes(used.get("client_data"))).digest()]);
	expect(verify("sha256", signed, key, bytes(used.get("signature"))), "the signature is wrong");
}));

await check("a_passkey_that_is_refused_is_told", on("page-passkey-create?ceremony=create", async page => {
	await page.send("WebAuthn.enable");
	await page.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: false, automaticPresenceSimulation: true } });
	await page.click("form[data-webauthn] button");
	await page.until(() => document.querySelector("[data-error]").textContent.length > 10 && !document.querySelector("[data-error]").hidden);
}));

await browser.close();
server.closeAllConnections();
server.close();
process.exitCode = failed ? 1 : 0;
