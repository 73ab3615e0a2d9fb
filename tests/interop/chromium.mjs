// Chromium for tests, without any package: the DevTools protocol over its pipe.
//
//	const browser = await launch(folder);                    headless, its profile in the folder
//	const page = await browser.page({ width: 375 });         a tab of its own, in a context of its own (no cookies)
//	await page.go("http://localhost:1234/");                 until loaded
//	await page.run(() => document.title);                    a function in the page; arguments follow it; promises are awaited
//	await page.until(() => document.querySelector(".x"));    polls, 30 s at most
//	await page.click("#x"), page.type("#x", "words"), page.press("j")
//	page.complaints                                          exceptions, console errors, CSP violations, failed requests so far
//	await page.screenshot("file.png")
//	await page.send("WebAuthn.enable")                       any command
//	await browser.close()
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";

const BINARIES = [process.env.CHROMIUM || "chromium", "chromium-browser", "google-chrome"];
const pause = ms => new Promise(r => setTimeout(r, ms));

export async function launch(folder) {
	for (const binary of BINARIES) {
		const child = spawn(binary, ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
			"--disable-background-networking", "--hide-scrollbars", "--disable-component-update", "--force-color-profile=srgb", "--lang=en-GB",
			"--remote-debugging-pipe", `--user-data-dir=${folder}/profile`, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
		const is_there = await new Promise(r => { child.once("error", () => r(false)); child.once("spawn", () => r(true)); });
		if (is_there)
			return new Browser(child);
	}
	return null;
}

class Browser {
	constructor(child) {
		this.child = child;
		this.waiting = new Map();
		this.pages = new Map();
		this.last = 0;
		let text = "";
		child.stdio[3].on("error", () => {});
		child.stdio[4].setEncoding("utf8").on("data", piece => {
			text += piece;
			for (let end; (end = text.indexOf("\0")) >= 0; text = text.slice(end + 1))
				this.hear(JSON.parse(text.slice(0, end)));
		});
	}

	hear(m) {
		const w = this.waiting.get(m.id);
		if (w) {
			this.waiting.delete(m.id);
			if (m.error)
				w.reject(new Error(`${w.method}: ${m.error.message}`));
			else
				w.resolve(m.result);
		} else if (m.sessionId) {
			this.pages.get(m.sessionId)?.hear(m.method, m.params);
		}
	}

	send(method, params = {}, sessionId) {
		const id = ++this.last;
		return new Promise((resolve, reject) => {
			this.waiting.set(id, { resolve, reject, method });
			this.child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
		});
	}

	async page({ width = 1280, height = 900, scripts = true, dark = false } = {}) {
		const { browserContextId } = await this.send("Target.createBrowserContext");
		const { targetId } = await this.send("Target.createTarget", { url: "about:blank", browserContextId });
		const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
		const page = new Page(this, sessionId, browserContextId, targetId);
		this.pages.set(sessionId, page);
		for (const domain of ["Page", "Runtime", "Log", "Network"])
			await page.send(`${domain}.enable`);
		await page.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 700 });
		await page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
		if (!scripts)
			await page.send("Emulation.setScriptExecutionDisabled", { value: true });
		return page;
	}

	async close() {
		const gone = new Promise(r => this.child.once("exit", r));
		this.send("Browser.close").catch(() => {});
		await Promise.race([gone, pause(3000)]);
		this.child.kill("SIGKILL");
		await gone;
	}
}

class Page {
	constructor(browser, session, context, target) {
		Object.assign(this, { browser, session, context, target, complaints: [], loaded: () => {} });
	}

	send(method, params) {
		return this.browser.send(method, params, this.session);
	}

	hear(method, p) {
		if (method === "Page.loadEventFired")
			this.loaded();
		else if (method === "Runtime.exceptionThrown")
			this.complaints.push(p.exceptionDetails.exception?.description || p.exceptionDetails.text);
		else if (method === "Runtime.consoleAPICalled" && /error|warning/.test(p.type))
			this.complaints.push(p.args.map(a => a.value ?? a.description).join(" "));
		else if (method === "Log.entryAdded" && p.entry.level === "error")
			this.complaints.push(`${p.entry.text} ${p.entry.url || ""}`);
	}

	async load(what) {
		const loaded = new Promise(r => { this.loaded = r; });
		await what();
		if (await Promise.race([loaded.then(() => false), pause(60000).then(() => true)]))
			throw new Error("the page does not load");
	}

	go(url) {
		return this.load(async () => {
			const r = await this.send("Page.navigate", { url });
			if (r.errorText)
				throw new Error(`${url}: ${r.errorText}`);
		});
	}

	async run(f, ...args) {
		const r = await this.send("Runtime.evaluate", { expression: `(${f})(...${JSON.stringify(args)})`, awaitPromise: true, returnByValue: true, userGesture: true });
		if (r.exceptionDetails)
			throw new Error(r.exceptionDetails.exception?.description || r.exceptionDetails.text);
		return r.result.value;
	}

	async until(f, ...args) {
		for (const end = Date.now() + 30000; Date.now() < end;) {
			const v = await this.run(f, ...args).catch(() => false); /* it may be between two pages */
			if (v)
				return v;
			await pause(50);
		}
		throw new Error(`never came true: ${f}`);
	}

	async click(q) {
		const at = await this.run(q => {
			const e = document.querySelector(q);
			e.scrollIntoView({ block: "center", behavior: "instant" });
			const r = e.getBoundingClientRect();
			return { x: r.x + r.width / 2, y: r.y + r.height / 2 };
		}, q);
		for (const type of ["mousePressed", "mouseReleased"])
			await this.send("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
	}

	async type(q, text) {
		await this.run(q => { const e = document.querySelector(q); e.focus(); e.select?.(); }, q);
		await this.send("Input.insertText", { text });
	}

	async press(key) {
		const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
		await this.send("Input.dispatchKeyEvent", { type: "keyDown", key, text, windowsVirtualKeyCode: key === "Enter" ? 13 : key === "Escape" ? 27 : 0 });
		await this.send("Input.dispatchKeyEvent", { type: "keyUp", key });
	}

	async screenshot(file) {
		const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: true });
		writeFileSync(file, Buffer.from(data, "base64"));
	}

	close() {
		return this.browser.send("Target.disposeBrowserContext", { browserContextId: this.context });
	}
}
