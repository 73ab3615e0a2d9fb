// Google's Directory API, Microsoft Graph and Okta's API as far as their documents say and a sync reads them, for tests/interop/test_sync.sh.
//
//   node directory_server.mjs PORT GOOGLE_PUBLIC_PEM OKTA_PUBLIC_JWK     listens on 127.0.0.1
//
// Pages are small, so that there are many. Tokens, client assertions and DPoP proofs are verified. GET /__mode/MODE: ok, throttle (each third
// request is told to wait), broken (the last page of members is a 500), empty (nobody is there), noscope (403), consent (Entra's consent is gone),
// fewer (one person and one group less). GET /__count: requests so far.
import { createServer } from 'node:http';
import { createHash, createPublicKey, randomUUID, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [port, googlePem, oktaJwk] = process.argv.slice(2);
const base = `http://127.0.0.1${port === '80' ? '' : `:${port}`}`;
const googleKey = createPublicKey(readFileSync(googlePem));
const oktaKey = createPublicKey({ key: JSON.parse(readFileSync(oktaJwk)), format: 'jwk' });
const PAGE = 3, nonce = 'n0nce-1', proofs = new Set();
let mode = 'ok', count = 0;

const all = Array.from({ length: 8 }, (_, i) => ({ id: `u${i}`, mail: `user${i}@acme.example`, first: `First${i}`, last: `Last ${i}` }));
const people = () => mode === 'empty' ? [] : mode === 'fewer' ? all.slice(0, 7) : all;
const groups = () => mode === 'empty' ? [] : [
	{ id: 'g-dev', name: 'Dev', members: people().slice(0, 7).map((p) => p.id), inner: ['g-ops'] },
	{ id: 'g-ops', name: 'Ops', members: ['u1', 'u7'].filter((id) => people().some((p) => p.id === id)), inner: ['g-dev'] },
	...(mode === 'fewer' ? [] : [{ id: 'g-sales', name: 'Sales', members: ['u2'], inner: [] }]),
];
const flat = (id, seen = new Set()) => {
	if (seen.has(id)) return [];
	seen.add(id);
	const g = groups().find((x) => x.id === id);
	return g ? [...new Set([...g.members, ...g.inner.flatMap((i) => flat(i, seen))])] : [];
};
const person = (id) => people().find((p) => p.id === id);

const parts = (jwt) => { const [h, c, s] = jwt.split('.'); return { header: JSON.parse(Buffer.from(h, 'base64url')), claims: JSON.parse(Buffer.from(c, 'base64url')),
	text: Buffer.from(`${h}.${c}`), sig: Buffer.from(s, 'base64url') }; };
const must = (ok, what) => { if (!ok) throw new Error(what); };
const fresh = (c) => must(Math.abs(c.iat - Date.now() / 1000) < 60 && (!c.exp || c.exp > c.iat), 'times');

function checkJwt(jwt, key, issuer, audience) {
	const { header, claims, text, sig } = parts(jwt);
	must(header.alg === 'RS256' && verify('sha256', text, key, sig), 'signature');
	must(claims.iss === issuer && claims.aud === audience, 'iss or aud');
	fresh(claims);
	return claims;
}
function checkProof(req, url, token) {
	const { header, claims, text, sig } = parts(req.headers.dpop);
	const key = createPublicKey({ key: header.jwk, format: 'jwk' });
	must(header.typ === 'dpop+jwt' && header.alg === 'ES256' && !header.jwk.d, 'header of the proof');
	must(verify('sha256', text, { key, dsaEncoding: 'ieee-p1363' }, sig), 'signature of the proof');
	must(claims.htm === req.method && claims.htu === base + url.pathname, 'method or URL of the proof');
	must(!proofs.has(claims.jti) && proofs.add(claims.jti), 'a proof used twice');
	must(!token || claims.ath === createHash('sha256').update(token).digest('base64url'), 'ath');
	fresh(claims);
	return claims.nonce === nonce;
}

const json = (res, status, body, headers = {}) => { res.writeHead(status, { 'content-type': 'application/json', ...headers }); res.end(JSON.stringify(body)); };
const slice = (list, from) => [list.slice(from, from + PAGE), from + PAGE < list.length ? from + PAGE : 0];

function google(req, res, url) {
	const at = Number(url.searchParams.get('pageToken') ?? 0), path = url.pathname.slice('/admin/directory/v1'.length);
	const page = (name, list) => { const [items, next] = slice(list, at); json(res, 200, { kind: `admin#directory#${name}`, ...(items.length && { [name]: items }), ...(next && { nextPageToken: String(next) }) }); };
	if (req.headers.authorization !== 'Bearer google') return json(res, 401, { error: { code: 401, message: 'Invalid Credentials' } });
	if (mode === 'noscope') return json(res, 403, { error: { code: 403, message: 'Not Authorized to access this resource/api' } });
	if (path === '/users') return page('users', people().map((p) => ({ id: p.id, primaryEmail: p.mail, name: { fullName: `${p.first} ${p.last}`, givenName: p.first, familyName: p.last }, orgUnitPath: '/' })));
	if (path === '/groups') return page('groups', groups().map((g) => ({ id: g.id, name: g.name, email: `${g.id}@acme.example` })));
	const [, id, rest] = path.match(/^\/groups\/([^/]+)(\/members)?$/) ?? [];
	const g = groups().find((x) => x.id === id);
	if (!g) return json(res, 404, { error: { code: 404, message: 'Resource Not Found: groupKey' } });
	if (!rest) return json(res, 200, { id: g.id, name: g.name });
	if (mode === 'broken' && at >= 6) return json(res, 500, { error: { code: 500, message: 'Backend Error' } });
	return page('members', [...g.members.map((m) => ({ id: m, type: 'USER', email: person(m).mail })), ...g.inner.map((m) => ({ id: m, type: 'GROUP' }))]);
}

function graph(req, res, url) {
	const at = Number(url.searchParams.get('$skiptoken') ?? 0);
	const page = (list) => { const [value, next] = slice(list, at); const more = new URL(url); more.searchParams.set('$skiptoken', String(next)); json(res, 200, { '@odata.context': 'x', value, ...(next && { '@odata.nextLink': more.href }) }); };
	const user = (p) => ({ id: p.id, displayName: `${p.first} ${p.last}`, mail: null, userPrincipalName: p.mail, givenName: p.first, surname: p.last, accountEnabled: true });
	if (req.headers.authorization !== 'Bearer entra') return json(res, 401, { error: { code: 'InvalidAuthenticationToken', message: 'Access token is empty.' } });
	if (mode === 'noscope') return json(res, 403, { error: { code: 'Authorization_RequestDenied', message: 'Insufficient privileges to complete the operation.' } });
	if (url.pathname === '/v1.0/servicePrincipals') { must(url.searchParams.get('$filter') === "appId eq 'entra-app'", '$filter'); return json(res, 200, { value: [{ id: 'sp-1', appId: 'entra-app' }] }); }
	if (url.pathname === '/v1.0/servicePrincipals/sp-1/appRoleAssignedTo')
		return page([...groups().map((g) => ({ principalId: g.id, principalType: 'Group', principalDisplayName: g.name })), ...people().slice(0, 1).map((p) => ({ principalId: p.id, principalType: 'User' }))]);
	if (url.pathname.startsWith('/v1.0/users/')) return json(res, 200, user(person(url.pathname.slice(12))));
	const [, id] = url.pathname.match(/^\/v1.0\/groups\/([^/]+)\/transitiveMembers\/microsoft.graph.user$/) ?? [];
	if (!id) return json(res, 404, { error: { code: 'Request_ResourceNotFound', message: url.pathname } });
	must(url.searchParams.get('$filter') === 'accountEnabled eq true' && url.searchParams.get('$count') === 'true' && req.headers.consistencylevel === 'eventual', 'advanced query');
	if (mode === 'broken' && at >= 6) return json(res, 503, { error: { code: 'serviceUnavailable', message: 'Try later' } });
	return page(flat(id).map((m) => user(person(m))));
}

function okta(req, res, url) {
	const at = Number(url.searchParams.get('after') ?? 0);
	const page = (list) => { const [items, next] = slice(list, at); const more = new URL(url); more.searchParams.set('after', String(next));
		json(res, 200, items, { link: next ? [`<${url.href}>; rel="self"`, `<${more.href}>; rel="next"`] : [`<${url.href}>; rel="self"`] }); };
	const user = (p) => ({ id: p.id, status: p.id === 'u6' ? 'SUSPENDED' : 'ACTIVE', profile: { firstName: p.first, lastName: p.last, email: p.mail, login: p.mail } });
	const token = (req.headers.authorization ?? '').replace(/^DPoP /, '');
	if (token !== 'okta') return json(res, 401, { errorCode: 'E0000011', errorSummary: 'Invalid token provided' });
	if (!checkProof(req, url, token)) return json(res, 401, {}, { 'dpop-nonce': nonce, 'www-authenticate': 'DPoP error="use_dpop_nonce"' });
	if (mode === 'noscope') return json(res, 403, { errorCode: 'E0000006', errorSummary: 'You do not have permission to perform the requested action' });
	if (url.pathname === '/api/v1/apps') return page([{ id: 'app1', label: 'One' }, { id: 'app2', label: 'Two' }]);
	if (url.pathname === '/api/v1/apps/app1/users') return page(people().map((p) => ({ id: p.id, status: 'ACTIVE', _embedded: { user: user(p) } })));
	if (url.pathname === '/api/v1/apps/app2/users') return page([]);
	const [, app] = url.pathname.match(/^\/api\/v1\/apps\/(app\d)\/groups$/) ?? [];
	if (app) return page(groups().slice(app === 'app1' ? 0 : 1).map((g) => ({ id: g.id, _embedded: { group: { id: g.id, profile: { name: g.name } } } })));
	const [, id] = url.pathname.match(/^\/api\/v1\/groups\/([^/]+)\/users$/) ?? [];
	if (!id) return json(res, 404, { errorCode: 'E0000007', errorSummary: 'Not found' });
	if (mode === 'broken' && at >= 6) return json(res, 500, { errorCode: 'E0000009', errorSummary: 'Internal Server Error' });
	return page(flat(id).map((m) => user(person(m))));
}

async function token(req, res, url) {
	let body = '';
	for await (const piece of req) body += piece;
	const form = new URLSearchParams(body);
	if (url.pathname === '/token') {
		must(form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer', 'grant_type');
		const claims = checkJwt(form.get('assertion'), googleKey, 'robot@project.iam.example', `${base}/token`);
		must(claims.sub === 'admin@acme.example' && claims.scope.split(' ').length === 4, 'sub or scope');
		return json(res, 200, { access_token: 'google', token_type: 'Bearer', expires_in: 3599 });
	}
	if (url.pathname === '/oauth2/v1/token') {
		const claims = checkJwt(form.get('client_assertion'), oktaKey, 'okta-client', `${base}/oauth2/v1/token`);
		must(claims.sub === 'okta-client' && form.get('client_assertion_type') === 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', 'assertion');
		if (!checkProof(req, url)) return json(res, 400, { error: 'use_dpop_nonce', error_description: 'Authorization server requires nonce in DPoP proof.' }, { 'dpop-nonce': nonce });
		return json(res, 200, { access_token: 'okta', token_type: 'DPoP', expires_in: 3600, scope: mode === 'noscope' ? 'okta.users.read' : form.get('scope') });
	}
	must(form.get('scope') === `${base}/.default` && form.get('client_secret') === 's3&c=r+t', 'scope or secret');
	if (mode === 'consent') return json(res, 400, { error: 'unauthorized_client', error_description: 'AADSTS700016: Application was not found in the directory' });
	return json(res, 200, { access_token: 'entra', token_type: 'Bearer', expires_in: 3599 });
}

createServer(async (req, res) => {
	const url = new URL(req.url, base);
	try {
		if (url.pathname.startsWith('/__mode/')) { mode = url.pathname.slice(8); count = 0; return json(res, 200, mode); }
		if (url.pathname === '/__count') return json(res, 200, count);
		count++;
		if (req.method === 'POST') return await token(req, res, url);
		if (mode === 'throttle' && count % 3 === 0) return json(res, url.pathname.startsWith('/admin') ? 403 : 429, { error: { code: 429, message: 'slow down', errors: [{ reason: 'rateLimitExceeded' }] } },
			url.pathname.startsWith('/api') ? { 'x-rate-limit-reset': String(Math.floor(Date.now() / 1000) + 1) } : { 'retry-after': '1' });
		if (url.pathname.startsWith('/admin/directory/v1/')) return google(req, res, url);
		return url.pathname.startsWith('/v1.0/') ? graph(req, res, url) : okta(req, res, url);
	} catch (e) {
		console.log(`bad request ${req.method} ${req.url}: ${e.message}`);
		json(res, 400, { error: { message: e.message }, request: randomUUID() });
	}
}).listen(Number(port), '127.0.0.1', () => console.log(`listening ${port}`));
