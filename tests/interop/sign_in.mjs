// Signing in with a real Chromium against a real portal: node sign_in.mjs EMBERBOX BASE_URL STATE_DIR WORK SCREENSHOTS
import { createHmac } from "node:crypto";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { launch } from "./chromium.mjs";

const [emberbox, base, dir, work, shots] = process.argv.slice(2);
const portal = (...args) => execFileSync(emberbox, ["portal", "--dir", dir, ...args], { encoding: "utf8" });
const link = (...args) => JSON.parse(portal("link", "add", "--json", ...args)).url.replace(/^.*\/auth\/link\//, `${base}auth/link/`);
let failed = 0;
const check = (name, ok, more = "") => { failed += !ok; console.log(`${ok ? "ok" : "not ok"} sign_in_${name}${ok ? "" : `: ${more}`}`); };

/* RFC 6238 by node's crypto */
const totp = secret => {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	const bits = [...secret.replace(/\s/g, "")].map(c => alphabet.indexOf(c).toString(2).padStart(5, "0")).join("");
	const key = Buffer.from(bits.match(/.{8}/g).map(b => parseInt(b, 2)));
	const counter = Buffer.alloc(8);
	counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)));
	const mac = createHmac("sha1", key).update(counter).digest(), at = mac[19] & 15;
	return String((mac.readUInt32BE(at) & 0x7fffffff) % 1000000).padStart(6, "0");
};

const at = page => page.run(() => location.pathname + location.search);
const title = page => page.run(() => document.querySelector("h1")?.textContent);
const press = (page, q) => page.load(() => page.run(q => document.querySelector(q).click(), q));
/* Whether the page streams news is another test. */
const calm = (page, name) => {
	const loud = page.complaints.filter(c => !c.includes("/live?"));
	check(`${name}_page_is_calm`, loud.length === 0, loud.join(" | "));
};

const browser = await launch(work);
try {
	/* the first admin, with a passkey */
	const page = await browser.page();
	await page.send("WebAuthn.enable");
	await page.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true,
		isUserVerified: true, automaticPresenceSimulation: true } });
	await page.go(link("--purpose", "setup"));
	await page.screenshot(`${shots}/names.png`);
	await page.type("#f-network", "Duck Pond");
	await page.type("#f-name", "Ada");
	await page.type("#f-email", "ada@ducks.example");
	await press(page, "form.form button[type=submit]");
	check("names_lead_to_ways", await title(page) === "Welcome, Ada", await title(page));
	await page.screenshot(`${shots}/ways.png`);
	await page.type("#f-passkey-name", "Test key");
	await page.load(() => page.click("form[data-webauthn] button"));
	check("a_passkey_is_made", await title(page) === "Your recovery codes", `${await title(page)} ${await page.run(() => document.body.innerText)}`);
	check("ten_codes", (await page.run(() => document.querySelector("#codes").textContent.trim().split(/\s+/).length)) === 10);
	await page.screenshot(`${shots}/codes.png`);
	const slug = JSON.parse(portal("account", "list", "--json"))[0]?.slug;
	await page.go(`${base}${slug}/settings/security`);
	check("the_admin_is_in", await title(page) === "Your sign-in", await title(page));
	check("the_passkey_is_listed", await page.run(() => document.body.innerText.includes("Test key")));
	await page.screenshot(`${shots}/security.png`);
	await press(page, "form[action$='/sign_out'] button");
	check("signed_out", (await title(page))?.startsWith("Sign in to"), await title(page));
	await page.screenshot(`${shots}/sign_in.png`);
	await page.load(() => page.click("form[data-webauthn] button"));
	await page.until(() => !location.pathname.includes("sign_in"));
	await page.go(`${base}${slug}/settings/security`);
	check("a_passkey_signs_in", await title(page) === "Your sign-in", `${await at(page)} ${await title(page)}`);
	calm(page, "passkey");
	await page.close();

	/* password and app on a phone without script */
	portal("actor", "add", "--type", "user", "--name", "Ben", "--email", "ben@ducks.example");
	const plain = await browser.page({ width: 375, scripts: false });
	await plain.go(link("--actor", "ben@ducks.example"));
	const secret = await plain.run(() => document.querySelector("#totp").textContent);
	await plain.type("#f-password", "tea with seven ducks");
	await plain.type("#f-again", "tea with seven ducks");
	await plain.type("#f-code", totp(secret));
	await plain.screenshot(`${shots}/ways_phone.png`);
	await press(plain, "form[action$='/password'] button[type=submit]");
	check("a_password_is_set_without_script", await title(plain) === "Your recovery codes", await title(plain));
	const code = await plain.run(() => document.querySelector("#codes").textContent.trim().split(/\s+/)[0]);
	await plain.go(`${base}${slug}?as=headless-client`);
	await plain.run(() => { const d = document.querySelector("details"); if (d) d.open = true; });
	await plain.screenshot(`${shots}/sign_in_phone.png`);
	const form = await plain.run(() => { const f = document.querySelector("input[type=password]").form; f.id = "pw"; return !!f; });
	check("the_sign_in_page_has_a_password", form);
	await plain.type("#pw input[type=email]", "ben@ducks.example");
	await plain.type("#pw input[type=password]", "tea with seven ducks");
	await press(plain, "#pw button[type=submit]");
	check("then_a_code", await title(plain) === "One more step", await title(plain));
	await plain.type("#f-code", code);
	await press(plain, "form.form button[type=submit]");
	check("then_the_token", await plain.run(() => document.querySelector("#token-value")?.textContent.trim().startsWith(".") || false), await title(plain));
	await plain.screenshot(`${shots}/token.png`);
	if (process.getuid() === 0) { /* pasted back (spec 30 §18.1) */
		const token = await plain.run(() => document.querySelector("#token-value").textContent.trim());
		const client = args => execFileSync("setsid", [emberbox, "client", "--token-path", `${work}/token`, ...args], { input: `${token}\n`, encoding: "utf8" });
		client(["sign-in", "--auth-base-url", base, "--account-slug", slug]);
		check("the_client_keeps_the_token", readFileSync(`${work}/token`, "utf8") === token);
	}
	calm(plain, "phone");
} finally {
	await browser.close();
}
process.exit(failed ? 1 : 0);
