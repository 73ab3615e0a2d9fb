// The phoenix npm client against our portal end: `ok NAME` or `not ok NAME` a line. node phoenix_client.mjs FOLDER-OF-node_modules URL
import { createRequire } from "node:module"

const [folder, url] = process.argv.slice(2)
const require = createRequire(folder + "/")
const { Socket } = require("phoenix")
const WebSocket = require("ws")

// browsers send no such fields; the portal wants a user agent
class Transport extends WebSocket {
	constructor(address, protocols) {
		super(address, protocols, { headers: { "user-agent": "Debian/12.0.0 headless-client/1.5.8" } })
	}
}

const params = { external_id: "npm", name: "n", public_key: "nCo2pSX8wJmBV0XMtiUvJlU2fD2xRlB6EktYsfo3yA0=", token: "t" }
// version 1 of the serializer: objects, as Firezone's peers speak it
const serializer = {
	encode: (m, cb) => cb(JSON.stringify({ topic: m.topic, event: m.event, payload: m.payload, ref: m.ref })),
	decode: (raw, cb) => cb(JSON.parse(raw)),
}
const within = (ms, what, start) => new Promise((done, fail) => {
	const timer = setTimeout(() => fail(new Error(what + " did not happen")), ms)
	start(value => { clearTimeout(timer); done(value) }, fail)
})

function open(options = {}, path = "/client") {
	const socket = new Socket(url + path, { vsn: "1.0.0", transport: Transport, params, ...serializer, reconnectAfterMs: () => 1e9, ...options })
	socket.connect()
	return socket
}

const tests = {
	async joins_and_gets_init() {
		const socket = open(), channel = socket.channel("client")
		const init = within(20000, "init", done => channel.on("init", done))
		await within(20000, "join", (done, fail) => channel.join().receive("ok", done).receive("error", fail))
		const payload = await init
		if (payload.interface.ipv4 !== "100.64.0.2") throw new Error(JSON.stringify(payload))
		socket.disconnect()
	},
	async heartbeats_are_answered() {
		// it closes when one is not answered before the next is due
		const socket = open({ heartbeatIntervalMs: 2000 })
		let closed = false
		socket.onClose(() => { closed = true })
		await within(20000, "join", (done, fail) => socket.channel("client").join().receive("ok", done).receive("error", fail))
		let answers = 0
		await within(20000, "the third answer", done => socket.onMessage(m => { answers += m.topic === "phoenix" && m.event === "phx_reply"; if (answers === 3) done() }))
		if (closed || socket.connectionState() !== "open") throw new Error("the socket closed")
		socket.disconnect()
	},
	async pushes_reach_the_portal_and_it_answers() {
		const socket = open(), channel = socket.channel("client")
		await within(20000, "join", (done, fail) => channel.join().receive("ok", done).receive("error", fail))
		const failed = within(20000, "flow_creation_failed", done => channel.on("flow_creation_failed", done))
		channel.push("create_flow", { resource_id: "4e500000-0000-4000-8000-000000000001", connected_gateway_ids: [] })
		if ((await failed).reason !== "offline") throw new Error("wrong reason")
		socket.disconnect()
	},
	async errors_are_replied() {
		const socket = open(), channel = socket.channel("client")
		await within(20000, "join", (done, fail) => channel.join().receive("ok", done).receive("error", fail))
		const e = await within(20000, "error", done => channel.push("no_such_event", {}).receive("error", done))
		if (e.reason !== "unknown_message") throw new Error(JSON.stringify(e))
		socket.disconnect()
	},
	async a_foreign_topic_is_refused() {
		const socket = open()
		const e = await within(20000, "refusal", (done, fail) => socket.channel("rooms:1").join().receive("error", done).receive("ok", fail))
		if (e.reason !== "unmatched topic") throw new Error(JSON.stringify(e))
		socket.disconnect()
	},
	async leaving_is_acknowledged() {
		const socket = open(), channel = socket.channel("client")
		await within(20000, "join", (done, fail) => channel.join().receive("ok", done).receive("error", fail))
		await within(20000, "leave", done => channel.leave().receive("ok", done))
		socket.disconnect()
	},
	// /client/v2/websocket: what clients of today connect to, with names of its own
	async v2_init_says_that_nothing_is_uploaded() {
		const socket = open({}, "/client/v2"), channel = socket.channel("client")
		const init = within(20000, "init", done => channel.on("init", done))
		await within(20000, "join", (done, fail) => channel.join().receive("ok", done).receive("error", fail))
		const payload = await init
		if (payload.flow_logs.upload_interval_secs !== 0 || !Array.isArray(payload.authorizations)) throw new Error(JSON.stringify(payload))
		socket.disconnect()
	},
	async v2_requests_have_their_new_names() {
		const socket = open({}, "/client/v2"), channel = socket.channel("client")
		await within(20000, "join", (done, fail) => channel.join().receive("ok", done).receive("error", fail))
		let replies = 0
		for (const status of ["ok", "error"]) channel.push("set_snownet_capabilities", { iceless: true }).receive(status, () => replies++)
		const failed = within(20000, "authorization_creation_failed", done => channel.on("authorization_creation_failed", done))
		channel.push("request_authorization", { resource_id: "4e500000-0000-4000-8000-000000000001", connected_gateway_ids: [] })
		if ((await failed).reason !== "offline") throw new Error("wrong reason")
		const e = await within(20000, "error", done => channel.push("create_flow", { resource_id: "4e500000-0000-4000-8000-000000000001", connected_gateway_ids: [] })
			.receive("error", done))
		if (e.reason !== "unknown_message") throw new Error(JSON.stringify(e))
		if (replies) throw new Error("capabilities were answered")
		socket.disconnect()
	},
	async framing_2_is_refused() {
		const socket = open({ vsn: "2.0.0" })
		await within(20000, "refusal", (done, fail) => { socket.onError(done); socket.onOpen(fail) })
		socket.disconnect()
	},
}

for (const [name, test] of Object.entries(tests)) {
	try {
		await test()
		console.log("ok phoenix_npm_" + name)
	} catch (e) {
		console.log("not ok phoenix_npm_" + name + ": " + e)
	}
}
process.exit(0)
