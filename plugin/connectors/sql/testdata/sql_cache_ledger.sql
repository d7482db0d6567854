-- The ledger of three dials, as the program before this cache wrote it with Connect's cache
-- sql: dial_ledger, key_column k, value_column v.
CREATE TABLE dial_ledger (k text PRIMARY KEY, v text);
INSERT INTO dial_ledger VALUES ('2fdce3890e26614f16c506a2f926aae5', '{"v":1,"state":"called","owner":"ZPP57G6YQT53P4WWKXEM4IG7DV-3","fingerprint":"03f9f02db13d03d562a8f433038a81ed","at":"2026-11-27T21:03:27.087199126Z","call_id":"cff428ce0000000000000003"}');
INSERT INTO dial_ledger VALUES ('41e1150ae5871c51fc3c7795aeb1df10', '{"v":1,"state":"called","owner":"ZPP57G6YQT53P4WWKXEM4IG7DV-2","fingerprint":"5cc5c06f7a00fb4585b26c254990570b","at":"2026-11-27T21:03:27.087199016Z","call_id":"cff428ce0000000000000002"}');
INSERT INTO dial_ledger VALUES ('fa2f0f2007ca6c4e58dd85742d67b33f', '{"v":1,"state":"called","owner":"ZPP57G6YQT53P4WWKXEM4IG7DV-1","fingerprint":"62f7c25a4b64e596681c60cde96eb79f","at":"2026-11-27T21:03:27.087198004Z","call_id":"cff428ce0000000000000001"}');
