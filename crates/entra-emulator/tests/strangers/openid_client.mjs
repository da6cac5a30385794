// openid-client and jose: discovery, code with PKCE, hybrid and form_post, signatures, refresh,
// UserInfo, sign-out. Users sign in with the pages, whose forms are posted as a browser would.

import { readFileSync } from "node:fs";

import * as jose from "jose";
import * as oidc from "openid-client";

const TENANT = JSON.parse(readFileSync(process.env.TENANT_LINE, "utf8"));
const AUTHORITY = `${TENANT.authority}/${TENANT.tenant_id}/v2.0`;
const WEB = TENANT.apps.find((app) => app.display_name === "Staff Portal");
const SETUP = TENANT.apps[0];
const USER = TENANT.users[0];
const REDIRECT = "https://localhost/signin-oidc";
const SCOPE = "openid profile email offline_access User.Read";

function expect(what, holds, seen) {
  if (!holds) {
    console.error(`failed  openid-client: ${what}\n${JSON.stringify(seen, null, 2)}`);
    process.exit(1);
  }
  console.log(`ok      openid-client: ${what}`);
}

async function refused(promise) {
  try {
    await promise;
    return { accepted: true };
  } catch (error) {
    return { code: error.code ?? error.name, error: error.error, message: error.message };
  }
}

// --- a browser without scripts

class Browser {
  cookie = "";

  async open(url) {
    return this.send(url, {});
  }

  async submit(page, fields) {
    const form = page.forms.find((form) => form.html.includes(` name="${Object.keys(fields)[0]}"`));
    if (!form) throw new Error(`no form with ${Object.keys(fields)[0]} in ${page.html}`);
    const body = new URLSearchParams({ ...form.hidden, ...fields });
    return this.send(new URL(form.action, page.url), { method: "POST", body });
  }

  async send(url, options) {
    const headers = this.cookie ? { cookie: this.cookie } : {};
    const answer = await fetch(url, { ...options, headers, redirect: "manual" });
    for (const cookie of answer.headers.getSetCookie()) {
      this.cookie = cookie.split(";")[0];
    }
    const html = await answer.text();
    return {
      url,
      status: answer.status,
      html,
      location: answer.headers.get("location"),
      code: html.match(/<output id="code">(\d+)<\/output>/)?.[1],
      forms: [...html.matchAll(/<form ([^]*?)<\/form>/g)].map(([form]) => ({
        html: form,
        action: unescape(form.match(/action="([^"]*)"/)[1]),
        hidden: Object.fromEntries(
          [...form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map((found) => [
            unescape(found[1]),
            unescape(found[2]),
          ]),
        ),
      })),
    };
  }

  // Whatever is asked for, until the browser is sent back: a URL or the form that it posts there.
  async signIn(url) {
    let page = await this.open(url);
    for (let step = 0; step < 5 && page.status === 200; step += 1) {
      const back = page.forms.find((form) => form.action === REDIRECT);
      if (back) {
        const body = new URLSearchParams(back.hidden);
        return new Request(back.action, { method: "POST", body });
      }
      if (page.html.includes('name="passwd"')) {
        const fields = { loginfmt: USER.user_principal_name, passwd: USER.password, action: "next" };
        page = await this.submit(page, fields);
      } else if (page.code) {
        page = await this.submit(page, { otc: page.code, action: "next" });
      } else {
        page = await this.submit(page, { action: "accept" });
      }
    }
    if (!page.location) throw new Error(`the browser is not sent back: ${page.status} ${page.html}`);
    return new URL(page.location);
  }
}

function unescape(text) {
  const known = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&" };
  return text.replace(/&(lt|gt|quot|#39|amp);/g, (found) => known[found]);
}

// --- what an administrator does

async function control(path, body) {
  const sent = body && { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(TENANT.control + path, sent);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// The tenant's time: other clients may have moved its clock.
async function now() {
  return new Date((await control("/clock")).now);
}

async function patchWebApp(change) {
  const body = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: SETUP.client_id,
    client_secret: SETUP.client_secret,
    scope: `${TENANT.graph}/.default`,
  });
  const url = `${TENANT.authority}/${TENANT.tenant_id}/oauth2/v2.0/token`;
  const token = await (await fetch(url, { method: "POST", body })).json();
  const answer = await fetch(`${TENANT.graph}/v1.0/applications/${WEB.object_id}`, {
    method: "PATCH",
    headers: {
      authorization: `Bearer ${token.access_token}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(change),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

// --- the client

async function discover(url, prepare = () => {}) {
  const client = {
    client_secret: WEB.client_secret,
    [oidc.clockSkew]: Math.round(((await now()) - Date.now()) / 1000),
  };
  const config = await oidc.discovery(new URL(url), WEB.client_id, client);
  // Signatures are verified although TLS would do (OpenID Connect Core 3.1.3.7, 6).
  oidc.enableNonRepudiationChecks(config);
  prepare(config);
  return config;
}

async function begin(more = {}) {
  const verifier = oidc.randomPKCECodeVerifier();
  const checks = {
    pkceCodeVerifier: verifier,
    expectedState: oidc.randomState(),
    expectedNonce: oidc.randomNonce(),
  };
  const parameters = {
    redirect_uri: REDIRECT,
    scope: SCOPE,
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...more,
  };
  return { checks, parameters };
}

async function login(config, more, browser = new Browser()) {
  const { checks, parameters } = await begin(more);
  const back = await browser.signIn(oidc.buildAuthorizationUrl(config, parameters));
  const tokens = await oidc.authorizationCodeGrant(config, back, checks);
  return { tokens, back, checks };
}

async function codeFlow() {
  const config = await discover(AUTHORITY);
  const server = config.serverMetadata();
  expect("the configuration is that of the issuer", server.issuer === AUTHORITY, server);

  const browser = new Browser();
  const { tokens, checks } = await login(config, {}, browser);
  const claims = tokens.claims();
  expect("a code is redeemed with its verifier", claims.oid === USER.object_id, claims);
  expect("the address is in the token", claims.email === USER.user_principal_name, claims);

  const keys = jose.createRemoteJWKSet(new URL(server.jwks_uri));
  const options = { issuer: AUTHORITY, audience: WEB.client_id, currentDate: await now() };
  const verified = await jose.jwtVerify(tokens.id_token, keys, options);
  expect("jose verifies the signature", verified.payload.sub === claims.sub);

  const info = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
  expect("UserInfo has the subject of the ID token", info.name === claims.name, info);
  const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token);
  expect("a refresh token is redeemed", fresh.claims().sub === claims.sub, fresh.claims());

  const again = await begin();
  const url = oidc.buildAuthorizationUrl(config, again.parameters);
  const other = await refused(oidc.authorizationCodeGrant(config, await browser.signIn(url), checks));
  expect("an answer to another request is refused", !other.accepted, other);
  const used = await browser.signIn(url);
  await oidc.authorizationCodeGrant(config, used, again.checks);
  const twice = await refused(oidc.authorizationCodeGrant(config, used, again.checks));
  expect("a code is good once", twice.error === "invalid_grant", twice);
  const elsewhere = await begin({ redirect_uri: "https://evil.example/" });
  const page = await new Browser().open(oidc.buildAuthorizationUrl(config, elsewhere.parameters));
  expect("an unknown redirect URI is shown as 4xx", page.status === 400, page.status);
  expect("with its code and trace", /AADSTS50011: [^]*Trace ID/.test(page.html), page.html);
}

async function formPostAndHybrid() {
  const posted = await login(await discover(AUTHORITY), { response_mode: "form_post" });
  expect("the answer comes in a form", posted.back instanceof Request);

  const config = await discover(AUTHORITY, oidc.useCodeIdTokenResponseType);
  const hybrid = await login(config, { response_mode: "form_post" });
  expect("code and ID token come in a form", hybrid.tokens.claims().oid === USER.object_id);
  const fragment = await login(config, {});
  expect("and in a fragment", fragment.back.hash.includes("id_token="));

  const implicit = await discover(AUTHORITY, oidc.useIdTokenResponseType);
  const ask = async () => {
    const { checks, parameters } = await begin({ scope: "openid profile" });
    delete parameters.code_challenge;
    delete parameters.code_challenge_method;
    const back = await new Browser().signIn(oidc.buildAuthorizationUrl(implicit, parameters));
    const { expectedNonce, expectedState } = checks;
    return oidc.implicitAuthentication(implicit, back, expectedNonce, { expectedState });
  };
  const claims = await ask();
  expect("an ID token comes alone", claims.oid === USER.object_id, claims);
  const web = (isEnabled) => ({
    web: {
      redirectUris: [REDIRECT],
      logoutUrl: "https://localhost/signout-oidc",
      implicitGrantSettings: { enableIdTokenIssuance: isEnabled },
    },
  });
  await patchWebApp(web(false));
  await control("/clock", { advance_seconds: 60 });
  const off = await refused(ask());
  expect("where ID tokens are off it is refused", off.error === "unsupported_response_type", off);
  await patchWebApp(web(true));
  await control("/clock", { advance_seconds: 60 });
}

async function policiesAndKeys() {
  const config = await discover(AUTHORITY);
  const browser = new Browser();
  const before = await login(config, {}, browser);
  await control("/conditional-access", { client_id: WEB.client_id, require: "require_mfa" });
  const silent = await begin({ prompt: "none" });
  const url = oidc.buildAuthorizationUrl(config, silent.parameters);
  const answer = await refused(
    oidc.authorizationCodeGrant(config, await browser.signIn(url), silent.checks),
  );
  expect("a second factor needs interaction", answer.error === "interaction_required", answer);
  const stale = await refused(oidc.refreshTokenGrant(config, before.tokens.refresh_token));
  expect("at a refresh too", stale.error === "interaction_required", stale);
  const { tokens } = await login(config, {}, browser);
  await oidc.refreshTokenGrant(config, tokens.refresh_token);
  expect("with the code of the page it works", tokens.claims().oid === USER.object_id);
  await control("/conditional-access", { client_id: WEB.client_id });

  const verify = async (token) => {
    const keys = jose.createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri));
    const options = { issuer: AUTHORITY, audience: WEB.client_id, currentDate: await now() };
    return refused(jose.jwtVerify(token, keys, options));
  };
  await control("/keys", { action: "publish_decoys", count: 3 });
  const rolled = await control("/keys", { action: "roll_over" });
  const after = await login(await discover(AUTHORITY), {});
  const { kid } = jose.decodeProtectedHeader(after.tokens.id_token);
  expect("after a roll-over the new key signs", kid === rolled.signing, kid);
  for (const { tokens } of [before, after]) {
    const seen = await verify(tokens.id_token);
    expect("and tokens of both keys verify", seen.accepted, seen);
  }
  await control("/keys", { action: "withdraw", kid });
  const missing = await verify(after.tokens.id_token);
  expect("a key that vanished is missed", missing.code === "ERR_JWKS_NO_MATCHING_KEY", missing);
  await control("/keys", { action: "restore", kid });
  expect("until it is back", (await verify(after.tokens.id_token)).accepted);
}

async function signOut() {
  const config = await discover(AUTHORITY);
  const browser = new Browser();
  const { tokens, back } = await login(config, {}, browser);
  const url = oidc.buildEndSessionUrl(config, {
    post_logout_redirect_uri: REDIRECT,
    id_token_hint: tokens.id_token,
    state: "after",
  });
  const page = await browser.open(url);
  const frame = unescape(page.html.match(/<iframe src="([^"]*)"/)?.[1] ?? "");
  const sid = back.searchParams.get("session_state");
  expect("the application is told in a frame", frame === `https://localhost/signout-oidc?sid=${sid}`, page);
  const next = `href="${REDIRECT}?state=after"`;
  expect("the browser gets back with its state", page.html.includes(next), page.html);
  const again = await begin();
  const asked = await browser.open(oidc.buildAuthorizationUrl(config, again.parameters));
  expect("the session has ended", asked.html.includes('name="passwd"'), asked.html);
}

async function externalId() {
  const base = `${TENANT.external_id}/${TENANT.tenant_id}/v2.0`;
  const strict = await refused(discover(base));
  expect("an issuer at another place is noticed", !strict.accepted, strict);
  const config = await discover(`${base}/.well-known/openid-configuration`);
  const { tokens } = await login(config, {});
  const issuer = `${TENANT.authority}/${TENANT.tenant_id}.ciamlogin.com/${TENANT.tenant_id}/v2.0`;
  expect("tokens of External ID have that issuer", tokens.claims().iss === issuer, tokens.claims());
}

await codeFlow();
await formPostAndHybrid();
await policiesAndKeys();
await signOut();
await externalId();
// Connections that are kept alive would keep the program.
process.exit(0);
