-- Tokens that ended are removed in the order of their ends.
CREATE INDEX api_tokens_by_expiry ON api_tokens (expires_unix_ms) WHERE expires_unix_ms IS NOT NULL;
CREATE INDEX api_tokens_by_revocation ON api_tokens (revoked_unix_ms) WHERE revoked_unix_ms IS NOT NULL;
