//! What has been done to logins, what is done against it here, and the test that says so.
//!
//! A test is named by its file below `tests/` and its own name; `core::` is that folder of
//! entra-core, and `src::` a test beside the code. `tests/attacks.rs` checks that each of them is
//! there.
//!
//! # The way to the provider and back
//!
//! RFC 9700 (OAuth 2.0 Security Best Current Practice), by section.
//!
//! | Attack | Here | Test |
//! |---|---|---|
//! | A redirect URI that is matched loosely sends codes elsewhere (2.1, 4.1) | It is configured, one for each profile, without wildcards; never derived from `Host` or `X-Forwarded-*` | `src::redirect_uri::a_web_client_is_reached_by_https_or_on_localhost` |
//! | A code is read from a `Referer`, a history or a log (4.2) | `Referrer-Policy: no-referrer`, pages that load nothing, 303 to a clean address; `form_post` on request; no code in any log line | `web::callback::a_refused_answer_is_a_page_and_no_session`, `web_log::the_log_has_the_number_on_the_page_and_no_secret_of_a_login` |
//! | Mix-up: the code of one provider is sent to another (4.4, RFC 9207) | A redirect URI for each profile; the profile and the issuer are sealed into the pending login; `iss` is compared, and missed where the provider says that it sends it | `login::an_answer_for_one_profile_is_worth_nothing_at_another`, `login::an_answer_that_names_no_issuer_is_refused_where_the_provider_says_it_does`, `profiles::an_answer_that_came_to_the_redirect_uri_of_another_provider_is_not_redeemed` |
//! | A stolen code is injected into another browser (4.5) | PKCE with S256 and a nonce, always; the code is redeemed with what this browser has | `login::a_code_of_somebody_else_is_not_redeemed`, `login::an_answer_in_another_browser_is_refused` |
//! | A login is forged across sites (4.7, RFC 6749 10.12) | `state` is random, bound to a cookie of this browser, compared in constant time | `login::an_answer_with_another_state_is_refused`, `login::an_answer_without_state_is_refused` |
//! | PKCE is left out or weakened on the way (4.8) | No option leaves it out; a provider that takes other methods alone is refused | `login::the_request_asks_for_a_code_bound_to_this_login`, `provider::a_provider_that_takes_no_s256_is_refused` |
//! | Endpoints of a foreign configuration (4.4, "endpoint substitution") | The issuer is the one that was asked for, every endpoint on its hosts, redirects are not followed | `provider::an_endpoint_elsewhere_is_refused`, `provider::a_configuration_of_another_issuer_is_refused`, `login::a_token_endpoint_that_redirects_is_not_followed` |
//! | Open redirect after the login (4.11) | A path of the product, also after one decoding and as a browser reads it; other origins letter by letter | `src::return_to::what_could_lead_elsewhere_is_refused`, `web::login::no_login_ends_on_another_site` |
//! | A 307 posts the form with the code once more (4.12) | 303 | `web::login::a_form_from_the_provider_signs_in_without_the_sessions_cookie` |
//! | An answer is replayed | Each `state` is good once, among all machines with a shared store | `login::an_answer_is_good_for_one_login`, `web::callback::an_answer_that_a_browser_sends_twice_goes_on_where_its_first_one_did` |
//! | A parameter stands there twice, and two readers read two things | Refused (RFC 6749 3.1) | `src::callback::a_parameter_stands_there_once` |
//! | A pending login is changed, moved or used in another place | Sealed for its profile, its cookie and ten minutes | `login::a_cookie_that_was_changed_is_refused`, `login::a_cookie_under_another_name_or_key_is_refused`, `login::a_pending_login_ends_after_ten_minutes` |
//! | Cookies of pending logins fill the header until nobody gets in | Five at the most, seven kilobytes | `login::five_logins_may_be_pending_and_the_oldest_make_room` |
//! | The provider's error text is markup, or a telephone number to call | It is shown to nobody | `web::callback::nothing_of_what_came_stands_on_the_page` |
//! | Another program on the machine, or a page on the web, talks to the port of a native login | `state`, one path, one method, the right `Host`, and whoever says nothing is hung up on | `loopback::what_is_no_answer_changes_nothing`, `loopback::whoever_says_nothing_is_hung_up_on_after_ten_seconds` |
//! | A link to the login asks for more than the product does | Scopes, claims and the like are not taken from it | `web::login::a_link_to_the_login_may_wish_for_little` |
//!
//! # ID tokens
//!
//! RFC 8725 (JSON Web Token Best Current Practices), and what OpenID Connect Core 3.1.3.7 asks for.
//!
//! | Attack | Here | Test |
//! |---|---|---|
//! | `alg` none, HMAC with the public key, an algorithm of the token's own choice | RS256 for Entra, a list for others; the token chooses nothing | `core::jwt::an_algorithm_that_is_not_allowed_is_refused`, `rp_conformance::basic::oidcc_client_test_idtoken_sig_none`, `rp_conformance::basic::oidcc_client_test_invalid_sig_hs256` |
//! | The header brings the key (`jwk`, `jku`, `x5u`, `x5c`), or changes how the token is read (`crit`, `b64`, `zip`) | Refused, and nothing is fetched | `core::jwt::a_header_that_brings_a_key_or_changes_how_the_token_is_read_is_refused` |
//! | A token around a token, encrypted or compressed | Five parts are refused | `core::jwt::an_encrypted_token_is_refused` |
//! | A claim twice, or of another type | Refused | `core::jwt::an_object_with_a_name_that_stands_twice_is_refused`, `core::jwt::a_registered_claim_of_the_wrong_type_is_refused` |
//! | A token of another tenant, issuer, cloud or version | `iss`, `tid`, the key's issuer and its cloud agree | `id_token::a_token_of_another_issuer_is_refused`, `id_token::a_tenant_that_is_not_the_issuers_is_refused`, `id_token::a_key_signs_for_its_issuer_and_its_cloud_alone` |
//! | A token of another application, or an access token | `aud`, `azp` and the kind of claims | `id_token::a_token_for_another_application_is_refused`, `id_token_login::an_access_token_is_no_id_token` |
//! | A token of another login | `nonce`, `c_hash`, `at_hash`, `s_hash` | `id_token_login::a_token_of_another_login_is_refused`, `id_token_login::a_token_that_came_with_another_code_access_token_or_state_is_refused` |
//! | A flood of unknown key ids | One request in five minutes | `core::jwks::a_million_unknown_keys_cause_one_request_each_five_minutes` |
//! | The token names an address to call (groups, distributed claims) | It is never called | `user::groups_that_were_left_out_are_not_no_groups`, `rp_conformance::basic::oidcc_client_test_distributed_claims` |
//!
//! # Users and sessions
//!
//! | Attack | Here | Test |
//! |---|---|---|
//! | nOAuth: an address in a token takes an account over | The key is tenant and object; an account of the same name is linked by consent alone; there is no `email()` | `account::an_account_of_the_same_name_is_never_taken_without_consent`, `user::only_what_entra_says_of_the_domain_verifies_an_address` |
//! | One constant `sub` for every user (Azure AD B2C) | Refused, and at an authority of B2C the user is known by `oid` | `id_token_login::a_token_that_does_not_name_one_user_is_refused`, `generic::a_user_of_azure_ad_b2c_is_known_by_issuer_and_object` |
//! | A token of another policy of Azure AD B2C, which asks for less | `tfp`, or else `acr`, is the policy of the connection | `generic::a_token_of_another_policy_of_azure_ad_b2c_is_refused` |
//! | Another user comes back from a step-up or a renewal | The key has to be the same | `step_up::another_user_who_comes_back_from_a_step_up_is_refused`, `web::step_up::another_user_who_comes_back_changes_nothing`, `rp_conformance::refresh::oidcc_client_test_refresh_token_invalid_sub` |
//! | Session fixation | A new id at each login and renewal, and the old session ends | `web::session::a_login_never_takes_over_the_id_that_the_browser_had` |
//! | A cookie of a neighbouring host, or of plain http | `__Host-`; without https another name, which https never reads | `web::login::over_plain_http_the_cookie_has_another_name_which_https_never_reads` |
//! | The store of sessions is read | It holds hashes of ids | `web::session::the_name_under_which_a_session_is_kept_is_no_cookie` |
//! | Another site signs the user out | A POST of the same origin | `web::logout::another_site_signs_nobody_out` |
//! | Anybody calls the front-channel logout | Nothing ends but the session of that `sid`, of that profile | `web::logout::a_sign_out_at_the_provider_ends_the_session_without_its_cookie`, `web::profiles::a_sign_out_at_one_customers_provider_ends_no_session_of_another` |
//! | A renewal brings a session back that was signed out meanwhile | It is replaced where it is, in one step, or not at all | `sessions::a_session_takes_the_place_of_one_that_is_there_and_of_no_other` |
//!
//! # What happened to others
//!
//! | Where | What | Test |
//! |---|---|---|
//! | CVE-2026-25537 (jsonwebtoken) | A time of the wrong type counted as absent | `core::jwt::a_registered_claim_of_the_wrong_type_is_refused` |
//! | CVE-2026-22817 (Hono) | A key without `alg` took the token's | `core::jwt::an_algorithm_that_is_not_allowed_is_refused` |
//! | CVE-2023-48223, CVE-2026-34950 (fast-jwt) | A public key as an HMAC key | `foreign_tokens::tokens_of_joserfc_and_cryptography_are_accepted_or_refused_as_they_were_made_to_be` |
//! | CVE-2025-59420 (Authlib), CVE-2026-35042 (fast-jwt) | `crit` passed over | `core::jwt::a_header_that_brings_a_key_or_changes_how_the_token_is_read_is_refused` |
//! | CVE-2026-29000 (pac4j-jwt) | An unsigned token in an encrypted one | `core::jwt::an_encrypted_token_is_refused` |
//! | CVE-2026-28498 (Authlib) | A hash that could not be checked counted as right | `id_token_login::a_token_that_came_with_another_code_access_token_or_state_is_refused` |
//! | CVE-2025-27144 (go-jose), CVE-2025-30204 (golang-jwt) | Split before the size was looked at | `core::jwt::a_token_larger_than_the_limit_is_refused` |
//! | CVE-2025-68158 (Authlib) | `state` not bound to the browser | `login::an_answer_in_another_browser_is_refused` |
//! | CVE-2023-48309 (next-auth) | The cookie of a pending login taken for a session | `web::session::a_pending_login_is_no_session_and_a_session_no_pending_login` |
//! | CVE-2024-21643 (IdentityModel) | The token said where its key is | `core::jwt::a_header_that_brings_a_key_or_changes_how_the_token_is_read_is_refused` |
//! | CVE-2024-24814 (mod_auth_openidc) | A cookie that made the server work | `login::what_is_no_pending_login_makes_room_first` |
//! | CVE-2025-54603 (Claroty) | A login that made administrators of strangers | `account::a_user_whom_the_product_refuses_is_not_signed_in` |
//! | CVE-2025-55241 (Entra) | The token's tenant not compared with the data's | `id_token::a_tenant_that_is_not_the_issuers_is_refused` |
//! | GHSA-c5c4-8r6x-56w3 (oauth2-proxy) | An address with two `@` | `user::an_address_that_is_none_is_left_out` |
//! | GHSA-f24x-5g9q-753f (oauth2-proxy) | The old session lived on after a sign-in | `web::session::a_login_never_takes_over_the_id_that_the_browser_had` |
//! | microsoft-identity-web #3792, #3825 | `/%2fevil.example` as a local address; a sign-out by any site | `web::login::no_login_ends_on_another_site`, `web::logout::another_site_signs_nobody_out` |
