//! Nothing but a test: entra-core in a program that enables both crypto providers of jsonwebtoken.
