// Says of each ID token on standard input what oauth4webapi, the certified engine of openid-client,
// says of it: {"issuer", "client_id", "nonce", "now", "keys", "tokens": {name: token}} in,
// {name: null or the reason of the refusal} out.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(`${process.env.STRANGERS}/`)
const oauth = await import(pathToFileURL(require.resolve('oauth4webapi')))
const question = JSON.parse(readFileSync(0))
const server = {
  issuer: question.issuer,
  jwks_uri: 'https://keys.example/',
  id_token_signing_alg_values_supported: ['RS256'],
}
const client = {
  client_id: question.client_id,
  [oauth.clockSkew]: question.now - Math.floor(Date.now() / 1000),
  [oauth.clockTolerance]: 60,
}
const options = {
  [oauth.customFetch]: async () => Response.json(question.keys),
}
const verdicts = {}
for (const [name, token] of Object.entries(question.tokens)) {
  const answer = Response.json({ access_token: 'a', token_type: 'bearer', id_token: token })
  try {
    const expected = { expectedNonce: question.nonce, requireIdToken: true }
    await oauth.processAuthorizationCodeResponse(server, client, answer, expected)
    await oauth.validateApplicationLevelSignature(server, answer, options)
    verdicts[name] = null
  } catch (error) {
    verdicts[name] = `${error.code ?? error.name}: ${error.message}`
  }
}
process.stdout.write(JSON.stringify(verdicts))
