-- What a variable is for, in its owner's words: no secret, so that it can be read without a key.

ALTER TABLE variable ADD COLUMN description bytea NOT NULL DEFAULT '';
