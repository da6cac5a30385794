// A real browser, Chromium by its own driver (W3C WebDriver): signs in on the pages of the local
// tenant to the example `oidc_login`, with a form from another site and cookies that need https,
// and is signed out by a frame of the tenant's page.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const { OIDC_LOGIN, ENTRA_EMULATOR, STRANGERS_TLS, STRANGERS_SHOTS } = process.env;
const PORT = 8473;
const DRIVER = 'http://127.0.0.1:8474';
const url = `https://localhost:${PORT}`;
const started = [];
let failures = 0;

async function check(what, run) {
    try {
        await run();
        console.log(`ok      Chromium: ${what}`);
    } catch (error) {
        failures += 1;
        console.log(`failed  Chromium: ${what}: ${error.message}`);
    }
}

function run(program, args) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    started.push(child);
    return child;
}

async function line(child) {
    return JSON.parse(await new Promise((resolve, reject) => {
        createInterface(child.stdout).once('line', resolve);
        child.once('exit', (code) => reject(new Error(`${child.spawnfile} ended with ${code}`)));
    }));
}

let session = '';
async function drive(method, path, body) {
    const response = await fetch(`${DRIVER}${session}${path}`, {
        method,
        headers: { 'content-type': 'application/json' },
        body: method === 'POST' ? JSON.stringify(body ?? {}) : undefined,
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
}

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';
const go = (where) => drive('POST', '/url', { url: where });
const here = () => drive('GET', '/url');
const source = () => drive('GET', '/source');
const find = async (css) => (await drive('POST', '/element', { using: 'css selector', value: css }))[ELEMENT];
const click = async (css) => drive('POST', `/element/${await find(css)}/click`);
const type = async (css, text) => drive('POST', `/element/${await find(css)}/value`, { text });
const text = async (css) => drive('GET', `/element/${await find(css)}/text`);

async function shot(name) {
    if (!STRANGERS_SHOTS) return;
    mkdirSync(STRANGERS_SHOTS, { recursive: true });
    writeFileSync(`${STRANGERS_SHOTS}/${name}.png`, Buffer.from(await drive('GET', '/screenshot'), 'base64'));
}

async function until(what, condition) {
    const end = Date.now() + 15_000;
    while (Date.now() < end) {
        if (await condition().catch(() => false)) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${what} did not come; the browser is at ${await here()}: ${(await source()).slice(0, 300)}`);
}

const has = (css) => async () => Boolean(await find(css));

async function me() {
    await go(`${url}/me`);
    return JSON.parse(await text('pre'));
}

async function graph(tenant, method, path, body) {
    const app = tenant.apps[0];
    const token = await fetch(`${tenant.authority}/${tenant.tenant_id}/oauth2/v2.0/token`, {
        method: 'POST',
        body: new URLSearchParams({
            grant_type: 'client_credentials', client_id: app.client_id,
            client_secret: app.client_secret, scope: `${tenant.graph}/.default`,
        }),
    }).then((response) => response.json());
    const response = await fetch(`${tenant.graph}/v1.0${path}`, {
        method,
        headers: { authorization: `Bearer ${token.access_token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
}

async function signIn(user, page = '/login?return_to=%2Fme') {
    await go(`${url}${page}`);
    await until('the field for the name', has('[name=loginfmt]'));
    await shot('sign-in');
    await type('[name=loginfmt]', user.user_principal_name);
    if (await find('[name=passwd]').catch(() => null)) {
        await type('[name=passwd]', user.password);
        await click('button');
    } else {
        await click('button');
        await until('the field for the password', has('[name=passwd]'));
        await type('[name=passwd]', user.password);
        await click('button');
    }
    await until('the product', async () => (await here()).startsWith(url));
}

async function main() {
    const tenant = await line(run(ENTRA_EMULATOR, [
        '--listen', '127.0.0.1:0', '--dir', `${STRANGERS_TLS}/tenant`, '--replication-delay', '0',
    ]));
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // Two authorities of a test, on loopback.
    const app = tenant.apps.at(-1);
    await graph(tenant, 'PATCH', `/applications/${app.object_id}`, {
        web: {
            redirectUris: [`${url}/signin-oidc`],
            logoutUrl: `${url}/front-channel-logout`,
        },
        optionalClaims: { idToken: [{ name: 'sid' }, { name: 'login_hint' }] },
    });
    const product = await line(run(OIDC_LOGIN, [
        '--listen', `127.0.0.1:${PORT}`, '--issuer', `${tenant.authority}/${tenant.tenant_id}/v2.0`,
        '--client-id', app.client_id, '--client-secret', app.client_secret, '--ca', tenant.ca,
        '--tls-cert', `${STRANGERS_TLS}/tls.pem`, '--tls-key', `${STRANGERS_TLS}/tls.key`,
        '--response-mode', 'form_post',
    ]));
    run('chromedriver', [`--port=${new URL(DRIVER).port}`, '--log-level=SEVERE']);
    await until('the driver', async () => (await fetch(`${DRIVER}/status`)).ok);
    const { sessionId } = await drive('POST', '/session', {
        capabilities: {
            alwaysMatch: {
                acceptInsecureCerts: true,
                'goog:chromeOptions': { args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--window-size=900,700'] },
            },
        },
    });
    session = `/session/${sessionId}`;
    try {
        await checks(tenant, product);
    } finally {
        await drive('DELETE', '').catch(() => {});
    }
}

async function checks(tenant, product) {
    const [user] = tenant.users;

    await check('nobody is signed in at first', async () => {
        if ((await me()).signed_in !== false) throw new Error('somebody is');
    });

    await check('a user signs in on the pages of the tenant, which posts a form to the product', async () => {
        await signIn(user);
        const found = await me();
        if (found.key !== `${tenant.tenant_id}/${user.object_id}`) throw new Error(JSON.stringify(found));
    });

    await check('the browser keeps one cookie, from scripts and other sites', async () => {
        const cookies = (await drive('GET', '/cookie')).filter(({ name }) => name.includes('entra_'));
        const [cookie] = cookies;
        if (cookies.length !== 1 || cookie.name !== '__Host-entra_session') throw new Error(cookies.map(({ name }) => name).join());
        if (!cookie.httpOnly || !cookie.secure || cookie.sameSite !== 'Lax') throw new Error('its attributes are others');
        const seen = await drive('POST', '/execute/sync', { script: 'return document.cookie', args: [] });
        if (seen !== '') throw new Error('a script sees it');
    });

    await check('a refused answer is a page', async () => {
        await go(`${product.redirect_uri}?code=a&state=b`);
        if (await text('h1') !== 'Sign-in did not work') throw new Error(await source());
        await shot('failure');
        const color = await drive('POST', '/execute/sync', { script: "return getComputedStyle(document.querySelector('main')).maxWidth", args: [] });
        if (color === 'none') throw new Error('the policy keeps the style out');
    });

    await check('a page of another site cannot sign the user out', async () => {
        const form = `<form method="post" action="${url}/logout"><button>x</button></form>`;
        await go(`data:text/html,${encodeURIComponent(form)}`);
        await click('button');
        await until('the answer', async () => (await here()).startsWith(url));
        if (await text('h1') !== 'Sign-out did not work') throw new Error(await source());
        if ((await me()).signed_in !== true) throw new Error('the user is signed out');
    });

    await check('a sign-out at the tenant ends the session here by a frame', async () => {
        await go(`${url}/me`);
        if (await fetchMe() !== 200) throw new Error('nobody is signed in');
        await go(`${tenant.authority}/${tenant.tenant_id}/oauth2/v2.0/logout`);
        if (await find('button').catch(() => null)) await click('button');
        await until('the end of the session', async () => (await fetchMe()) === 401);
        await shot('tenant-signed-out');
    });

    await check('a sign-out at the product ends both sessions and comes back to a page', async () => {
        await signIn(user, '/login?return_to=%2F');
        await shot('home');
        await click('button');
        await until('the page', async () => {
            if (await text('h1').catch(() => '') === 'You have signed out') return true;
            const button = await find('[data-account], form button').catch(() => null);
            if (button && !(await here()).startsWith(url)) await click('[data-account], form button');
            return false;
        });
        await shot('signed-out');
        await go(`${url}/login`);
        await until('the field for the name', has('[name=loginfmt]'));
        if ((await me()).signed_in !== false) throw new Error('the user is signed in');
    });

    // Tenant and product are one site here, at two ports: so the form comes from another one.
    await check("a form from another site brings the pending login's cookie and not the session's", async () => {
        // The tenant would answer at once, so the pending login is put into the browser.
        const begun = await fetch(`${url}/login?return_to=%2Fme`, { redirect: 'manual' });
        const [pair, ...attributes] = begun.headers.getSetCookie()[0].split('; ');
        const sameSite = attributes.find((one) => one.startsWith('SameSite=')).slice('SameSite='.length);
        const [name, value] = pair.split(/=(.*)/s);
        await go(`${url}/me`);
        await drive('POST', '/cookie', { cookie: { name, value, sameSite, path: '/', secure: true, httpOnly: true } });
        const sent = await fetch(`${tenant.control}/sign-in`, {
            method: 'POST',
            body: JSON.stringify({ url: begun.headers.get('location'), user_principal_name: user.user_principal_name }),
        }).then((response) => response.json());
        const fields = [...new URLSearchParams(sent.form)].map(([name, value]) => `<input name="${name}" value="${value}">`);
        const form = `<form method="post" action="${product.redirect_uri}">${fields.join('')}<button>x</button></form>`;
        const page = `data:text/html,${encodeURIComponent(form)}`;
        await go(page);
        await click('button');
        await until('the product', async () => (await here()) === `${url}/me`);
        if ((await me()).signed_in !== true) throw new Error('nobody is signed in');
        // The way back, and the same form once more: the product's first page.
        await go(page);
        await click('button');
        await until('the product', async () => (await here()) === `${url}/`);
        if ((await me()).signed_in !== true) throw new Error('the user is signed out');
    });
}

// With the cookies of the browser, which stays on its page.
async function fetchMe() {
    const cookies = await drive('GET', '/cookie');
    if (!cookies.some(({ name }) => name === '__Host-entra_session')) throw new Error('the cookie is gone');
    const sent = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    return (await fetch(`${url}/me`, { headers: { cookie: sent } })).status;
}

try {
    await main();
} catch (error) {
    failures += 1;
    console.log(`failed  Chromium: ${error.stack}`);
} finally {
    for (const child of started) {
        child.removeAllListeners('exit');
        child.kill();
    }
}
process.exit(failures === 0 ? 0 : 1);
