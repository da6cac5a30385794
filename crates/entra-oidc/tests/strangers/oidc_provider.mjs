// The provider that others wrote: npm oidc-provider, a certified OpenID provider, over TLS, with
// PKCE required and one client. A test may have the next ID token made otherwise: with other
// claims, under another algorithm, with another key, or left out.
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const modules = createRequire(join(process.env.STRANGERS_MODULES, 'package.json'));
const load = async (name) => import(pathToFileURL(modules.resolve(name)));
const { Provider } = await load('oidc-provider');
const { SignJWT, decodeJwt, exportJWK, importJWK } = await load('jose');

const keyPair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const base64url = (text) => Buffer.from(text).toString('base64url');

export async function start({ tls, client }) {
    const { privateKey } = keyPair();
    const jwk = { ...(await exportJWK(privateKey)), kid: 'the-key', use: 'sig', alg: 'RS256' };
    const server = createServer({ key: readFileSync(tls.key), cert: readFileSync(tls.cert) });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const issuer = `https://localhost:${server.address().port}`;

    const provider = new Provider(issuer, {
        clients: [client],
        jwks: { keys: [jwk] },
        pkce: { required: () => true },
        claims: { openid: ['sub'], profile: ['name'] },
        conformIdTokenClaims: false,
        cookies: { keys: ['a key of a test'] },
        issueRefreshToken: () => true,
        findAccount: (_context, id) => ({
            accountId: id,
            claims: () => ({ sub: id, name: `${id} of the others` }),
        }),
    });
    const tampering = { idToken: null };
    provider.use(async (context, next) => {
        await next();
        if (context.oidc?.route === 'token' && context.body?.id_token && tampering.idToken) {
            const change = tampering.idToken;
            tampering.idToken = null;
            context.body = await change({ ...context.body }, sign);
        }
    });
    // Signs other claims, by default as the provider does.
    async function sign(claims, { alg = 'RS256', kid = 'the-key', key = jwk } = {}) {
        return new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(await importJWK(key, alg));
    }
    server.on('request', provider.callback());
    return { issuer, provider, tampering, stop: () => server.close() };
}


// What goes wrong with an ID token, each with the only thing that is wrong.
export function tamperings(secret) {
    const claims = (change) => async (body, sign) => {
        const changed = { ...decodeJwt(body.id_token), ...change };
        body.id_token = await sign(changed);
        return body;
    };
    const header = (fields) => base64url(JSON.stringify(fields));
    const payload = (body) => body.id_token.split('.')[1];
    const now = () => Math.floor(Date.now() / 1000);
    return {
        'an ID token with another nonce': claims({ nonce: 'of another login' }),
        'an ID token with no nonce': claims({ nonce: undefined }),
        'an ID token with another audience': claims({ aud: 'another-client' }),
        'an ID token with two audiences': claims({ aud: ['strangers-app', 'another-client'] }),
        'an ID token with another issuer': claims({ iss: 'https://evil.example' }),
        'an ID token with another authorized party': claims({ azp: 'another-client' }),
        'an ID token with an end that is past': claims({ exp: now() - 3600, iat: now() - 7200 }),
        'an ID token with no subject': claims({ sub: undefined }),
        'an ID token with a wrong at_hash': claims({ at_hash: 'AAAAAAAAAAAAAAAAAAAAAA' }),
        'an ID token with the algorithm none': async (body) => {
            body.id_token = `${header({ alg: 'none' })}.${payload(body)}.`;
            return body;
        },
        'an ID token with the client secret as HMAC key': async (body) => {
            const signed = `${header({ alg: 'HS256', kid: 'the-key' })}.${payload(body)}`;
            const mac = createHmac('sha256', secret).update(signed).digest('base64url');
            body.id_token = `${signed}.${mac}`;
            return body;
        },
        'an ID token with PS256 in the place of RS256': async (body, sign) => {
            const { alg, ...key } = await exportJWK(keyPair().privateKey);
            body.id_token = await sign(decodeJwt(body.id_token), { alg: 'PS256', key });
            return body;
        },
        "an ID token signed with a stranger's key under the provider's key id": async (body, sign) => {
            const key = await exportJWK(keyPair().privateKey);
            body.id_token = await sign(decodeJwt(body.id_token), { key });
            return body;
        },
        'an ID token signed with a key that nobody published': async (body, sign) => {
            const key = await exportJWK(keyPair().privateKey);
            body.id_token = await sign(decodeJwt(body.id_token), { key, kid: 'unknown' });
            return body;
        },
        'an ID token whose claims were changed after signing': async (body) => {
            const [head, , signature] = body.id_token.split('.');
            const changed = base64url(JSON.stringify({ ...decodeJwt(body.id_token), sub: 'mallory' }));
            body.id_token = `${head}.${changed}.${signature}`;
            return body;
        },
        'no ID token': async ({ id_token, ...body }) => body,
        'another token type': async (body) => ({ ...body, token_type: 'mac' }),
    };
}
