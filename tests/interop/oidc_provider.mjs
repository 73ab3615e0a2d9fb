// An identity provider for tests/interop/test_oidc.sh: oidc-provider from npm, behind a front that can be told to misbehave.
//
//   node oidc_provider.mjs NPM_DIR PORT CALLBACK KEYS     KEYS: a seed; another one means other signing keys
//
// Whoever comes is signed in at once as the account that GET /__as/ADDRESS named last. GET /__mode/MODE: ok, slow (answers of the token endpoint
// come after 12 s), huge (2 MiB of discovery), inside (discovery is a redirect to an internal address), deny (access_denied), broken (500).
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [dir, port, callback, seed] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${dir}/node_modules/`).href);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);
const issuer = `http://127.0.0.1:${port}`;
let mode = 'ok', address = 'jo@acme.example';

const jwk = (key, kid, alg) => ({ ...key.privateKey.export({ format: 'jwk' }), kid: `${kid}-${seed}`, alg, use: 'sig' });
const keys = [
	jwk(generateKeyPairSync('rsa', { modulusLength: 2048 }), 'r', 'RS256'),
	jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'e', 'ES256'),
	jwk(generateKeyPairSync('ed25519'), 'd', 'EdDSA'),
];
const client = (id, alg, auth) => ({ client_id: id, client_secret: 's3cret/+ &=', redirect_uris: [callback], id_token_signed_response_alg: alg,
	token_endpoint_auth_method: auth, grant_types: ['authorization_code'], response_types: ['code'] });

const provider = new Provider(issuer, {
	clients: [client('rs', 'RS256', 'client_secret_post'), client('es', 'ES256', 'client_secret_post'), client('ed', 'EdDSA', 'client_secret_post'),
		client('none', 'RS256', 'client_secret_post')],
	jwks: { keys },
	enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
	claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'given_name', 'family_name', 'nickname'] },
	conformIdTokenClaims: seed === 'second', // then e-mail addresses are told by userinfo alone
	pkce: { required: () => true, methods: ['S256'] },
	features: { devInteractions: { enabled: false } },
	interactions: { url: (ctx, i) => `/interaction/${i.uid}` },
	cookies: { keys: ['k'] },
	findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: id, email_verified: true, name: `Name of ${id}`, nickname: 'nick' }) }),
	loadExistingGrant: async (ctx) => {
		const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
		grant.addOIDCScope('openid email profile');
		await grant.save();
		return grant;
	},
});
const serve = provider.callback();

createServer(async (req, res) => {
	const url = new URL(req.url, issuer);
	const say = (status, text, more = {}) => { res.writeHead(status, more); res.end(text); };

	if (url.pathname.startsWith('/__mode/')) { mode = url.pathname.slice(8); return say(200, mode); }
	if (url.pathname.startsWith('/__as/')) { address = decodeURIComponent(url.pathname.slice(6)); return say(200, address); }
	if (url.pathname.startsWith('/interaction/')) {
		const result = mode === 'deny' ? { error: 'access_denied', error_description: 'not today' } : { login: { accountId: address, remember: false } };
		return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
	}
	if (url.pathname === '/.well-known/openid-configuration') {
		if (mode === 'huge') return say(200, JSON.stringify({ issuer, filler: 'x'.repeat(2 << 20) }), { 'content-type': 'application/json' });
		if (mode === 'inside') return say(302, '', { location: 'http://169.254.169.254/' });
		if (mode === 'broken') return say(500, 'oops');
	}
	if (url.pathname === '/token' && mode === 'slow') await new Promise((r) => setTimeout(r, 12000));
	serve(req, res);
}).listen(Number(port), '127.0.0.1', () => console.log(`listening ${port}`));
