// Lets users of a provider that others wrote sign in to the example `oidc_login`, undisturbed and
// with somebody in the middle. Prints a line for each thing that holds.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { Browser, formOf } from './browser.mjs';
import { start, tamperings } from './oidc_provider.mjs';

// oidc-provider says at length what a real installation would have to set.
console.info = () => {};
console.warn = () => {};

const { OIDC_LOGIN, STRANGERS_TLS } = process.env;
const tls = { key: `${STRANGERS_TLS}/tls.key`, cert: `${STRANGERS_TLS}/tls.pem`, ca: `${STRANGERS_TLS}/ca.pem` };
const PORT = { query: 8471, form_post: 8472 };
const SECRET = 'a secret of a test, and of nothing else';

let failures = 0;
async function check(what, run) {
    try {
        await run();
        console.log(`ok      ${what}`);
    } catch (error) {
        failures += 1;
        console.log(`failed  ${what}: ${error.message}`);
    }
}

function equal(found, expected, what) {
    if (found !== expected) throw new Error(`${what} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
}

for (const mode of ['query', 'form_post']) {
    const url = `https://localhost:${PORT[mode]}`;
    const callback = `${url}/signin-oidc`;
    const op = await start({
        tls,
        client: {
            client_id: 'strangers-app',
            client_secret: SECRET,
            redirect_uris: [callback],
            post_logout_redirect_uris: [callback],
            grant_types: ['authorization_code', 'refresh_token'],
            response_types: ['code'],
        },
    });
    const product = spawn(OIDC_LOGIN, [
        '--listen', `127.0.0.1:${PORT[mode]}`, '--issuer', op.issuer, '--client-id', 'strangers-app',
        '--client-secret', SECRET, '--ca', tls.ca, '--tls-cert', tls.cert, '--tls-key', tls.key,
        '--response-mode', mode, '--scope', 'offline_access', '--generic',
    ], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
        const line = JSON.parse(await new Promise((resolve, reject) => {
            createInterface(product.stdout).once('line', resolve);
            product.once('exit', (code) => reject(new Error(`oidc_login ended with ${code}`)));
        }));
        await checks({ mode, url, callback, op, line });
    } finally {
        product.removeAllListeners('exit');
        product.kill();
        op.stop();
    }
}
process.exit(failures === 0 ? 0 : 1);

async function checks({ mode, url, callback, op, line }) {
    const say = (what) => `oidc-provider, ${mode}: ${what}`;
    const me = async (browser) => {
        const answer = await browser.request(`${url}/me`);
        return { status: answer.status, ...JSON.parse(answer.body) };
    };
    const nobody = async (browser) => {
        const found = await me(browser);
        equal(found.status, 401, 'the status of /me');
        equal(found.signed_in, false, 'signed_in');
    };
    // Everything up to the provider's answer, which is not delivered yet.
    const signInElsewhere = async (browser, user = 'ada') => {
        let page = await browser.follow(await browser.request(`${url}/login?return_to=%2Fme`), callback);
        for (let step = 0; step < 5 && !answerIn(page); step += 1) {
            const fields = formOf(page).fields.prompt === 'login' ? { login: user, password: 'any' } : {};
            page = await browser.follow(await browser.submit(page, fields), callback);
        }
        return answerIn(page);
    };
    const answerIn = (page) => {
        if (mode === 'query') return page.location ? Object.fromEntries(new URL(page.location).searchParams) : null;
        const form = page.body.includes('<form') && formOf(page);
        return form && form.action === callback ? form.fields : null;
    };
    // The provider is another site for the browser, whatever its port.
    const deliver = (browser, parameters) => mode === 'query'
        ? browser.request(`${callback}?${new URLSearchParams(parameters)}`)
        : browser.request(callback, { form: parameters, from: 'https://the-provider.example/', headers: { 'sec-fetch-site': 'cross-site' } });
    const refused = async (browser, answer) => {
        // A form from another site comes without the session: a GET of the product's looks for it.
        if (answer.location === `${callback}?again`) answer = await browser.request(answer.location);
        if (answer.status < 400 || answer.status > 499) throw new Error(`the status is ${answer.status}`);
        if (!answer.body.includes('Sign-in did not work')) throw new Error('it is no page of a failure');
        if (/<script/i.test(answer.body)) throw new Error('the page has a script');
        await nobody(browser);
    };

    await check(say('the line says where everything is'), async () => {
        equal(line.url, url, 'url');
        equal(line.redirect_uri, callback, 'redirect_uri');
        equal(line.logout_url, `${url}/front-channel-logout`, 'logout_url');
    });

    await check(say('a user signs in with PKCE and is known by issuer and subject'), async () => {
        const browser = new Browser();
        await nobody(browser);
        const answer = await deliver(browser, await signInElsewhere(browser));
        equal(answer.status, 303, 'the status');
        equal(answer.location, `${url}/me`, 'where the browser goes');
        const found = await me(browser);
        equal(found.key, `${op.issuer} ada`, 'key');
        equal(found.name, 'ada of the others', 'name');
        equal(found.groups, null, 'groups');
        const names = [...browser.jar(url).keys()].filter((name) => name.includes('entra_'));
        equal(names.join(), '__Host-entra_session', 'what is left in the browser');
    });

    await check(say('a provider that requires PKCE gets S256'), async () => {
        const go = await new Browser().request(`${url}/login`);
        const query = new URL(go.location).searchParams;
        equal(query.get('code_challenge_method'), 'S256', 'code_challenge_method');
        equal(query.get('response_mode'), mode, 'response_mode');
    });

    await check(say('a session is renewed with the refresh token, and once more with the next one'), async () => {
        const browser = new Browser();
        await deliver(browser, await signInElsewhere(browser));
        const before = browser.copy();
        for (let turn = 0; turn < 2; turn += 1) {
            const renewed = await browser.request(`${url}/renew`, { form: {}, headers: { 'sec-fetch-site': 'same-origin' } });
            equal(renewed.status, 200, 'the status');
            equal(JSON.parse(renewed.body).key, `${op.issuer} ada`, 'key');
        }
        equal((await me(browser)).status, 200, 'the status of /me');
        await nobody(before);
    });

    await check(say('a refresh token that the provider takes back ends the session'), async () => {
        const browser = new Browser();
        await deliver(browser, await signInElsewhere(browser));
        const grants = op.provider.RefreshToken;
        const find = grants.find;
        grants.find = async () => undefined;
        const renewed = await browser.request(`${url}/renew`, { form: {}, headers: { 'sec-fetch-site': 'same-origin' } });
        grants.find = find;
        // This browser is a script for servers, so it is told so and not sent on.
        equal(renewed.status, 401, 'the status');
        equal(JSON.parse(renewed.body).login, '/login?return_to=%2F', 'where the login is');
        await nobody(browser);
    });

    await check(say('a sign-out ends the session at the provider too, and comes back with its state'), async () => {
        const browser = new Browser();
        await deliver(browser, await signInElsewhere(browser));
        const begun = await browser.request(`${url}/logout`, { form: {}, from: url, headers: { 'sec-fetch-site': 'same-origin' } });
        await nobody(browser);
        const query = new URL(begun.location).searchParams;
        equal(query.get('post_logout_redirect_uri'), callback, 'post_logout_redirect_uri');
        if (!query.get('id_token_hint')) throw new Error('there is no id_token_hint');
        let page = await browser.follow(begun, callback);
        if (!page.location) page = await browser.follow(await browser.submit(page, { logout: 'yes' }), callback);
        equal(new URL(page.location).searchParams.get('state'), query.get('state'), 'state');
        const other = browser.copy();
        const tampered = await other.request(`${callback}?state=another`);
        equal(tampered.status, 400, 'the status with another state');
        const back = await browser.request(page.location);
        equal(back.status, 200, 'the status');
        if (!back.body.includes('You have signed out')) throw new Error('the page does not say so');
        // The provider asks for the password again.
        const again = await browser.follow(await browser.request(`${url}/login`), callback);
        equal(formOf(again).fields.prompt, 'login', 'what the provider asks for');
    });

    await check(say('another site cannot sign a user out'), async () => {
        const browser = new Browser();
        await deliver(browser, await signInElsewhere(browser));
        const answer = await browser.request(`${url}/logout`, { form: {}, headers: { 'sec-fetch-site': 'cross-site' } });
        equal(answer.status, 400, 'the status');
        equal((await me(browser)).status, 200, 'the status of /me');
    });

    const answers = {
        'another state': (answer) => ({ ...answer, state: 'another' }),
        'no state': ({ state, ...answer }) => answer,
        'another issuer (RFC 9207)': (answer) => ({ ...answer, iss: 'https://evil.example' }),
        'no issuer though the provider names itself (RFC 9207)': ({ iss, ...answer }) => answer,
        'another code': (answer) => ({ ...answer, code: 'another' }),
        'no code': ({ code, ...answer }) => answer,
        'an ID token that nobody asked for': (answer) => ({ ...answer, id_token: 'a.b.c' }),
        'an error beside the code': (answer) => ({ ...answer, error: 'access_denied' }),
    };
    for (const [what, change] of Object.entries(answers)) {
        await check(say(`refuses an answer with ${what}`), async () => {
            const browser = new Browser();
            const answer = await signInElsewhere(browser);
            await refused(browser, await deliver(browser, change(answer)));
        });
    }

    await check(say('refuses an answer in another browser'), async () => {
        const answer = await signInElsewhere(new Browser());
        const other = new Browser();
        await refused(other, await deliver(other, answer));
    });

    await check(say('refuses an answer of another login of the same browser'), async () => {
        const browser = new Browser();
        const first = await signInElsewhere(browser);
        const second = await signInElsewhere(browser);
        await refused(browser, await deliver(browser, { ...second, code: first.code }));
    });

    await check(say('refuses an answer that was used before, also where its cookie is still there'), async () => {
        const browser = new Browser();
        const answer = await signInElsewhere(browser);
        const copy = browser.copy();
        await deliver(browser, answer);
        const again = mode === 'query'
            ? copy.request(`${callback}?${new URLSearchParams(answer)}`)
            : copy.request(callback, { form: answer });
        await refused(copy, await again);
    });

    await check(say('refuses a code that the provider has given out already'), async () => {
        const browser = new Browser();
        const answer = await signInElsewhere(browser);
        await deliver(browser, answer);
        const other = new Browser();
        const fresh = await signInElsewhere(other);
        await refused(other, await deliver(other, { ...fresh, code: answer.code }));
    });

    await check(say('a user who declines sees a page'), async () => {
        const browser = new Browser();
        const go = await browser.request(`${url}/login`);
        const { state } = Object.fromEntries(new URL(go.location).searchParams);
        const declined = { error: 'access_denied', error_description: '<script>alert(1)</script>', state, iss: op.issuer };
        const answer = await deliver(browser, declined);
        equal(answer.status, 403, 'the status');
        if (answer.body.includes('alert')) throw new Error('the page shows what came');
        await nobody(browser);
    });

    for (const [what, change] of Object.entries(tamperings(SECRET))) {
        await check(say(`refuses a token response with ${what}`), async () => {
            const browser = new Browser();
            const answer = await signInElsewhere(browser);
            op.tampering.idToken = change;
            const back = await deliver(browser, answer);
            equal(op.tampering.idToken, null, 'the change that waits');
            if (back.status < 400) throw new Error(`the status is ${back.status}`);
            await nobody(browser);
        });
    }
}
