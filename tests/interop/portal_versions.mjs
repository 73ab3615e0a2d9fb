// Clients and gateways of both protocol versions through the serving portal, spoken by the phoenix npm client: `ok NAME` or `not ok NAME` a line.
// node portal_versions.mjs FOLDER-OF-node_modules URL RESOURCE CLIENT-TOKEN GATEWAY-TOKEN
import { createRequire } from "node:module"

const [folder, url, resource, clientToken, gatewayToken] = process.argv.slice(2)
const require = createRequire(folder + "/")
const { Socket } = require("phoenix")
const WebSocket = require("ws")

const speech = [
	{ path: "", client: "headless-client/1.5.8", gateway: "gateway/1.5.2", ask: "create_flow", authorize: "authorize_flow", authorized: "flow_authorized", created: "flow_created" },
	{ path: "/v2", client: "headless-client/1.5.11", gateway: "gateway/1.6.0", ask: "request_authorization", authorize: "create_authorization",
		authorized: "authorization_created", created: "authorization_created" },
]
const claimsNeeded = ["account_id", "role", "initiator_device_id", "responder_device_id", "policy_authorization_id", "policy_id", "resource_id", "resource_name",
	"initiator_actor_id", "initiator_actor_name", "authorized_at", "authorization_expires_at"]
const serializer = {
	encode: (m, cb) => cb(JSON.stringify({ topic: m.topic, event: m.event, payload: m.payload, ref: m.ref })),
	decode: (raw, cb) => cb(JSON.parse(raw)),
}
const pause = ms => new Promise(r => setTimeout(r, ms))
const within = (ms, what, start) => new Promise((done, fail) => {
	const timer = setTimeout(() => fail(new Error(what + " did not happen")), ms)
	start(value => { clearTimeout(timer); done(value) }, fail)
})
const need = (holds, what) => { if (!holds) throw new Error(what) }

async function open(role, version, token, key) {
	const say = speech[version]
	class Transport extends WebSocket {
		constructor(address, protocols) {
			super(address, protocols, { headers: { "user-agent": "Debian/12.0.0 " + say[role], "x-authorization": "Bearer " + token } })
		}
	}
	const params = { external_id: role + version, name: role + version, public_key: Buffer.alloc(32, key).toString("base64") }
	const socket = new Socket(url + "/" + role + say.path, { vsn: "1.0.0", transport: Transport, params, ...serializer, reconnectAfterMs: () => 1e9 })
	socket.connect()
	const channel = socket.channel(role)
	const init = within(30000, role + " init", done => channel.on("init", done))
	await within(30000, role + " join", (done, fail) => channel.join().receive("ok", done).receive("error", fail))
	const flowLogs = (await init).flow_logs
	need(version === 0 ? flowLogs === undefined : flowLogs.upload_interval_secs === 0 && typeof flowLogs.api_url === "string" && Number.isInteger(flowLogs.upload_batch_size),
		"flow_logs of init: " + JSON.stringify(flowLogs))
	if (version === 1) channel.push("set_snownet_capabilities", { iceless: true })
	return { socket, channel, say, version }
}

function checkToken(peer, payload, role) {
	if (peer.version === 0) return need(payload.flow_logs_ingest_token === undefined, "a token for v1")
	const parts = payload.flow_logs_ingest_token.split(".")
	const [header, claims] = parts.slice(0, 2).map(part => JSON.parse(Buffer.from(part, "base64url")))
	need(parts.length === 3 && header.alg === "HS256" && Buffer.from(parts[2], "base64url").length === 32, "form of the token")
	for (const name of claimsNeeded) need(typeof claims[name] === "string" && claims[name], "claim " + name)
	need(Number.isInteger(claims.iat) && claims.exp > claims.iat && claims.uploads_enabled === false && claims.role === role, "claims " + JSON.stringify(claims))
	need(payload.use_iceless === false, "use_iceless")
}

async function broker(client, gateway) {
	const authorize = within(30000, gateway.say.authorize, done => gateway.channel.on(gateway.say.authorize, done))
	const created = within(30000, client.say.created, done => client.channel.on(client.say.created, done))
	client.channel.push(client.say.ask, { resource_id: resource, connected_gateway_ids: [] })
	const asked = await authorize
	checkToken(gateway, asked, "responder")
	await within(30000, "the portal's reply", (done, fail) => gateway.channel.push(gateway.say.authorized, { ref: asked.ref }).receive("ok", done).receive("error", fail))
	const flow = await created
	checkToken(client, flow, "initiator")
	need(flow.preshared_key === asked.client.preshared_key && flow.client_ice_credentials.password === asked.client_ice_credentials.password, "secrets differ")
	need(flow.resource_id === resource && (flow.site_id ?? flow.gateway_group_id), "resource and site")
}

for (const c of [0, 1]) {
	for (const g of [0, 1]) {
		const name = `portal_client_v${c + 1}_gateway_v${g + 1}`
		try {
			const gateway = await open("gateway", g, gatewayToken, 7), client = await open("client", c, clientToken, 8)
			await broker(client, gateway)
			client.socket.disconnect()
			gateway.socket.disconnect()
			console.log("ok " + name)
		} catch (e) {
			console.log(`not ok ${name}: ${e}`)
		}
		await pause(1200) // one connect a second and token (spec 10 §4.2)
	}
}
process.exit(0)
