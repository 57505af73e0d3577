//! Tokens as they should be and as attackers make them, and key sets of a real server.

mod attacks;
mod claims;
mod issuer;
mod key_sets;
mod provider;
mod published_vectors;
mod refreshing;
mod starting;
mod tls;
