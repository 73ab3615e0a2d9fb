// Sign-up to first access in a real Chromium (test_journey.sh): node journey.mjs EMBERBOX BASE_URL STATE_DIR WORK SCREENSHOTS AXE
//
// What must happen outside the browser is asked for by a line on stdout, `run WHAT FILE`: the script does it at once and never answers; here the page tells
// when it came about. Lines that begin with ok, not ok or note are results.
import { createHmac } from "node:crypto";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { launch } from "../interop/chromium.mjs";

const [emberbox, base, dir, work, shots, axe] = process.argv.slice(2);
const HTML_MAX = 60 * 1024;
const PASSWORD = "tea with seven ducks";
const portal = (...args) => execFileSync(emberbox, ["portal", "--dir", dir, ...args], { encoding: "utf8" });
const pause = ms => new Promise(r => setTimeout(r, ms));
let failed = 0;
const check = (name, ok, more = "") => { failed += !ok; console.log(`${ok ? "ok" : "not ok"} journey_${name}${ok ? "" : `: ${more}`}`); };
const calm = (page, name) => check(`${name}_page_is_calm`, page.complaints.length === 0, page.complaints.join(" | "));
const outside = (what, file, text) => { writeFileSync(`${work}/${file}`, text, { mode: 0o600 }); console.log(`run ${what} ${work}/${file}`); };

let began = Date.now(), last = began;
const lap = what => { console.log(`note ${what}: ${((Date.now() - last) / 1000).toFixed(1)} s`); last = Date.now(); };

/* RFC 6238; a code works once, so `later` asks for the next one */
const totp = (secret, later = 0) => {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	const bits = [...secret.replace(/\s/g, "")].map(c => alphabet.indexOf(c).toString(2).padStart(5, "0")).join("");
	const key = Buffer.from(bits.match(/.{8}/g).map(b => parseInt(b, 2)));
	const counter = Buffer.alloc(8);
	counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + later));
	const mac = createHmac("sha1", key).update(counter).digest(), at = mac[19] & 15;
	return String((mac.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, "0");
};

const title = page => page.run(() => document.querySelector("h1")?.textContent);
const path = page => page.run(() => location.pathname);
const text = (page, q) => page.run(q => document.querySelector(q)?.textContent.trim(), q);
const press = (page, q) => page.load(() => page.run(q => document.querySelector(q).click(), q));
const submit = page => press(page, "main form.form button[type=submit]");
const follow = (page, words) => page.load(() => page.run(words => {
	const e = [...document.querySelectorAll("main a, main button, nav a")].find(e => e.textContent.trim() === words);
	if (!e) throw new Error(`${location.pathname} has nothing called "${words}"`);
	e.click();
}, words));
const choose = (page, q, label) => page.run((q, label) => {
	const e = document.querySelector(q);
	e.value = [...e.options].find(o => o.textContent.trim() === label).value;
}, q, label);

async function names(page, link) {
	await page.go(link);
	await page.type("#f-network", "Duck Pond");
	await page.type("#f-name", "Ada");
	await page.type("#f-email", "ada@ducks.example");
	await submit(page);
}

/* The secret of the app and the recovery codes. */
async function password_and_app(page) {
	const secret = await text(page, "#totp");
	await page.type("#f-password", PASSWORD);
	await page.type("#f-again", PASSWORD);
	await page.type("#f-code", totp(secret));
	await press(page, "form[action$='/password'] button[type=submit]");
	return secret;
}

async function sign_in(page, email, secret) {
	await page.run(() => { const d = document.querySelector("details"); if (d) d.open = true; document.querySelector("input[type=password]").form.id = "pw"; });
	await page.type("#pw input[type=email]", email);
	await page.type("#pw input[type=password]", PASSWORD);
	await press(page, "#pw button[type=submit]");
	await page.type("#f-code", totp(secret, 1));
	await submit(page);
}

const browser = await launch(work);
if (!browser) {
	console.log("not ok journey_browser: Chromium does not start");
	process.exit(1);
}
try {
	/* ---- the admin: a name, a passkey ---- */
	const admin = await browser.page();
	await admin.send("WebAuthn.enable");
	await admin.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
		isUserVerified: true, automaticPresenceSimulation: true } });
	await names(admin, readFileSync(`${work}/first-link`, "utf8").trim());
	await admin.type("#f-passkey-name", "Test key");
	await admin.load(() => admin.click("form[data-webauthn] button"));
	check("the_admin_has_a_passkey", await title(admin) === "Your recovery codes", await title(admin));
	await press(admin, "main a.button.primary");
	const slug = JSON.parse(portal("account", "list", "--json"))[0].slug, home = `${base}${slug}`;
	if (!(await path(admin)).endsWith("/overview"))
		await admin.go(`${home}/overview`);
	check("four_steps_are_shown", await admin.run(() => document.querySelectorAll("ol.steps li:not(.done)").length) === 4, await title(admin));
	await admin.screenshot(`${shots}/overview-new.png`);
	lap("the link opened, network named, passkey made");

	/* ---- a gateway ---- */
	await follow(admin, "Deploy a gateway");
	if ((await path(admin)).endsWith("/sites/new")) {
		await admin.type("#f-name", "Berlin");
		await submit(admin);
	}
	await follow(admin, "Create token and show the commands");
	await admin.screenshot(`${shots}/deploy.png`);
	outside("gateway", "gateway.sh", await text(admin, "#plain"));
	check("the_page_says_that_the_gateway_connected", await admin.until(() => document.querySelector("[data-live^='token-']").textContent.match(/connected|online/i)?.[0])
		.catch(() => false), await text(admin, "main"));
	await admin.screenshot(`${shots}/deploy-connected.png`);
	lap("a gateway deployed and connected");

	/* ---- something to reach, and who may ---- */
	await admin.go(`${home}/overview`);
	await follow(admin, "Add a resource");
	await admin.type("#f-address", "10.9.0.80");
	await admin.type("#f-name", "Intranet");
	await submit(admin);
	check("the_kind_is_guessed", JSON.parse(portal("resource", "list", "--json")).some(r => r.address === "10.9.0.80" && r.type === "ip"), portal("resource", "list", "--json"));
	check("a_policy_is_next", (await path(admin)).endsWith("/policies/new"), await path(admin));
	await choose(admin, "#f-group", "Everyone");
	await submit(admin);
	lap("a resource and a policy made");

	/* ---- a colleague ---- */
	await admin.go(`${home}/actors/new`);
	await admin.type("#f-email", "ben@ducks.example");
	await admin.type("#f-name", "Ben");
	await submit(admin);
	await follow(admin, "Make a one-time sign-in link");
	const link = await text(admin, "#made");
	await admin.screenshot(`${shots}/colleague.png`);
	const ben = await browser.page({ width: 375, height: 800, dark: true });
	await ben.go(link);
	await ben.screenshot(`${shots}/colleague-sets-up.png`);
	const secret = await password_and_app(ben);
	check("the_colleague_has_a_password", await title(ben) === "Your recovery codes", await title(ben));
	await ben.go(`${home}?as=headless-client`);
	await sign_in(ben, "ben@ducks.example", secret);
	const token = await text(ben, ".secret pre");
	check("the_colleague_has_a_token", token?.startsWith("."), await title(ben));
	await ben.screenshot(`${shots}/token.png`);
	calm(ben, "the_colleagues");
	await ben.close();
	lap("a colleague added, set up and signed in");

	/* ---- first access ---- */
	await admin.go(`${home}/overview`);
	outside("client", "pasted-token", token || "");
	for (let i = 0; i < 500 && !existsSync(`${work}/client-done`); i++)
		await pause(200);
	check("the_overview_shows_it_live", await admin.until(() => /1 client/.test(document.querySelector("dl.facts").textContent) ||
		!document.querySelector("[data-stale=overview]")?.hidden).catch(() => false));
	/* the page that was open all the time: when the gateway reports the first path, the steps end and it says who reached what, how and how fast */
	check("the_steps_end_with_the_first_connection", await admin.until(() => /first connection[^]* of Ben reaches [^]*: (direct|relayed) (\d+|under 1)\sms/
		.test(document.querySelector("main").innerText.replace(/\s+/g, " "))).catch(() => false), await text(admin, "main"));
	await admin.go(`${home}/overview`);
	check("the_overview_shows_the_connection", await admin.run(() => document.querySelector("main").innerText.includes("Intranet") &&
		!document.querySelector("ol.steps") && !!document.querySelector("figure.topology")), await text(admin, "main"));
	await admin.screenshot(`${shots}/overview.png`);
	calm(admin, "the_admins");
	lap("signed in at the machine, tunnel up, page fetched, connection seen");
	const took = (Date.now() - began) / 1000;
	check("takes_less_than_five_minutes", took < 300, `${took} s`);
	console.log(`note from the link to the first page through the tunnel: ${took.toFixed(1)} s`);

	/* ---- a GUI client's deep link ---- */
	portal("actor", "add", "--type", "user", "--name", "Cy Pond", "--email", "cy@ducks.example");
	const cy = await browser.page();
	await cy.go(JSON.parse(portal("link", "add", "--json", "--actor", "cy@ducks.example")).url);
	const cys = await password_and_app(cy);
	await cy.go(`${home}?as=gui-client&state=some%20state&nonce=a-nonce`);
	const hops = [];
	const hear = cy.hear.bind(cy);
	cy.hear = (method, p) => {
		if (method === "Network.responseReceivedExtraInfo")
			hops.push(p.headers.Location || p.headers.location || "");
		hear(method, p);
	};
	await sign_in(cy, "cy@ducks.example", cys);
	const client = await cy.run(() => document.querySelector("main a.button.primary")?.href);
	for (let i = 0; i < 200 && !hops.some(h => h.startsWith("firezone-")); i++)
		await pause(100);
	const deep = new URL(hops.find(h => h.startsWith("firezone-")) || `none:${client}`), q = deep.searchParams;
	check("deep_link_opens_the_client", deep.protocol === "firezone-fd0020211111:" && deep.host + deep.pathname === "handle_client_sign_in_callback", deep.href);
	check("deep_link_has_six_parameters", [...q.keys()].sort().join() === "account_name,account_slug,actor_name,fragment,identity_provider_identifier,state", deep.href);
	check("deep_link_says_who_and_where", q.get("account_name") === "Duck Pond" && q.get("account_slug") === slug && q.get("actor_name") === "Cy Pond" &&
		q.get("state") === "some state" && /^\.[\w-]{60,}$/.test(q.get("fragment")), deep.href);
	await cy.close();
	lap("a GUI client's deep link");

	/* ---- many at once, and back ---- */
	await many(admin, home, slug, "with_script");
	lap("many rows changed, undone and deleted");

	/* ---- every page that anything links to ---- */
	await crawl(admin, home);
	await admin.close();

	/* ---- the first admin of another network: a password and an app, no script ---- */
	portal("account", "add", "--name", "Second", "--admin-email", "dee@ducks.example");
	const dee = await browser.page({ scripts: false });
	await dee.go(JSON.parse(portal("link", "add", "--json", "--account", "second", "--actor", "dee@ducks.example")).url);
	await password_and_app(dee);
	check("an_admin_needs_no_passkey_and_no_script", await title(dee) === "Your recovery codes", await title(dee));
	await press(dee, "main a.button.primary");
	await dee.go(`${base}second/overview`);
	check("and_is_in", await dee.run(() => document.querySelectorAll("ol.steps li").length) === 4, await title(dee));
	await many(dee, `${base}second`, "second", "without_script");
	calm(dee, "plain");
	lap("another admin, with password and app");
} catch (e) {
	check("goes_to_its_end", false, e.stack);
} finally {
	await browser.close();
}
process.exit(failed ? 1 : 0);

/* Rows are ticked and disabled, that is undone, then they are deleted: one page asks. */
async function many(page, home, account, how) {
	const flash = () => text(page, "#flash");
	const tick = () => page.run(() => document.querySelectorAll("input[aria-label^='Select bot-']").forEach(i => i.click()));
	const states = () => JSON.parse(portal("actor", "list", "--json", "--account", account)).filter(a => a.name.startsWith("bot-")).map(a => !!a.disabled_at).join();
	const serious = async name => {
		if (how !== "with_script" || !existsSync(axe))
			return;
		await page.run(readFileSync(axe, "utf8").replace(/^/, "() => {").concat("}"));
		const found = await page.run(async () => (await axe.run()).violations.filter(v => /serious|critical/.test(v.impact)).map(v => `${v.id}: ${v.nodes[0].html.slice(0, 160)}`));
		check(`${name}_is_accessible`, found.length === 0, found.join(" | "));
	};

	for (const name of ["bot-1", "bot-2"])
		portal("actor", "add", "--account", account, "--type", "service-account", "--name", name);
	await page.go(`${home}/actors`);
	check(`select_all_needs_a_script_${how}`, await page.run(() => document.querySelector("[data-check-all]").closest("label").hidden) === (how !== "with_script"));
	if (how === "with_script") {
		await page.run(() => document.querySelector("[data-check-all]").click());
		check("select_all_ticks_all", await page.run(() => [...document.querySelectorAll("input[name=id]")].every(i => i.checked)));
		await page.run(() => document.querySelector("[data-check-all]").click());
	}
	await tick();
	await press(page, ".bulk button[value=disable]");
	check(`many_are_disabled_${how}`, /2 people are disabled/.test(await flash()) && states() === "true,true", `${await flash()} ${states()}`);
	await serious("undo");
	await page.screenshot(`${shots}/undo-${how}.png`);
	await press(page, "#flash .undo button");
	check(`and_enabled_again_${how}`, /Undone/.test(await flash()) && states() === "false,false", `${await flash()} ${states()}`);
	await tick();
	await press(page, ".bulk button[value=delete]");
	check(`one_page_asks_${how}`, await title(page) === "Delete 2 people?", await title(page));
	await serious("asking_for_many");
	await page.screenshot(`${shots}/delete-many-${how}.png`);
	await press(page, "main form.form button.danger");
	check(`many_are_deleted_${how}`, /2 people are deleted/.test(await flash()) && states() === "", `${await flash()} ${states()}`);
	await page.go(`${home}/actors`);
	await page.run(() => document.querySelector("input[name=id]").click());
	await press(page, ".bulk button[value=disable]");
	check(`what_is_refused_is_told_${how}`, /cannot disable yourself/.test(await text(page, "main")), await text(page, "main"));
	await serious("what_was_refused");
}

/* Pages that differ only by an id are one kind: each kind is looked at once, in both themes, at a desk and on a phone, and without script. */
async function crawl(page, home) {
	const todo = [`${home}/overview`], seen = new Map(), wrong = [], heavy = [], noisy = [], found = [];
	const kind = url => url.replace(home, "").replace(/[?#].*/, "").replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, ":id");
	const source = existsSync(axe) ? readFileSync(axe, "utf8").replace(/^/, "() => {").concat("}") : null;
	const look = async (name, width, dark) => {
		await page.send("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
		await page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
		const wide = await page.run(() => document.documentElement.scrollWidth - innerWidth);
		if (wide > 0)
			found.push(`${name} at ${width}: ${wide} pixels too wide`);
		if (source)
			found.push(...await page.run(async dark => (await axe.run(dark ? { runOnly: ["color-contrast", "target-size"] } : {})).violations.filter(v => /serious|critical/.test(v.impact))
				.map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 120)).join(" | ")}`), dark).then(l => l.map(v => `${name} at ${width}${dark ? " dark" : ""}: ${v}`)));
		await page.screenshot(`${shots}/page${name.replace(/[^a-z]+/g, "-")}-${dark ? "phone-dark" : "desk"}.png`);
	};
	seen.set("/overview", todo[0]);
	while (todo.length > 0) {
		const url = todo.shift(), name = kind(url);
		page.complaints.length = 0;
		const [status, type, size] = await page.run(async u => { const r = await fetch(u); return [r.status, r.headers.get("content-type"), (await r.text()).length]; }, url);
		if (status !== 200)
			wrong.push(`${name}: ${status}`);
		if (size > HTML_MAX)
			heavy.push(`${name}: ${size}`);
		if (status !== 200 || !/html/.test(type))
			continue;
		await page.go(url);
		const links = await page.run(() => [...document.querySelectorAll("a[href]")].map(a => new URL(a.getAttribute("href"), document.baseURI).href));
		for (const l of links)
			if (l.startsWith(`${home}/`) && !seen.has(kind(l))) {
				seen.set(kind(l), l);
				todo.push(l);
			}
		if (source)
			await page.run(source);
		await look(name, 1280, false);
		await look(name, 375, true);
		noisy.push(...page.complaints.map(c => `${name}: ${c}`));
	}
	check("every_page_answers", wrong.length === 0 && seen.size > 25, `${seen.size} kinds; ${wrong.join(" | ")}`);
	check("every_page_is_light", heavy.length === 0, heavy.join(" | "));
	check("every_page_is_quiet", noisy.length === 0, noisy.join(" | "));
	if (source)
		check("every_page_is_accessible", found.length === 0, found.join("\n    "));
	else
		console.log("skip journey_every_page_is_accessible: axe-core cannot be had from npm");

	page.complaints.length = 0;
	await page.send("Emulation.setScriptExecutionDisabled", { value: true });
	const bare = [];
	for (const [name, url] of seen) {
		if (/export/.test(name) || wrong.some(w => w.startsWith(`${name}:`)))
			continue;
		await page.go(url);
		if (!await page.run(() => !!document.querySelector("main h1")?.textContent))
			bare.push(name);
	}
	check("every_page_is_whole_without_script", bare.length === 0 && page.complaints.length === 0, [...bare, ...page.complaints].join(" | "));
	lap(`${seen.size} kinds of pages: ${[...seen.keys()].join(" ")}`);
}
