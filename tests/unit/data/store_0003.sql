BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE alerts (
	"key" VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	critical BOOLEAN NOT NULL, 
	text VARCHAR NOT NULL, 
	began_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	told JSON NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "alerts" VALUES('dead dead','dead',1,'Not delivered','2026-11-24 09:00:00.000000',NULL,'{}');
CREATE TABLE attachments (
	external_id VARCHAR NOT NULL, 
	original_name VARCHAR NOT NULL, 
	display_name VARCHAR NOT NULL, 
	media_type VARCHAR NOT NULL, 
	encrypted BOOLEAN NOT NULL, 
	sender_checksum VARCHAR NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	expires_at DATETIME, 
	message_id CHAR(32) NOT NULL, 
	position INTEGER NOT NULL, 
	safe_name VARCHAR NOT NULL, 
	size BIGINT, 
	sha256 VARCHAR, deleted_at DATETIME, 
	PRIMARY KEY (message_id, position), 
	FOREIGN KEY(message_id) REFERENCES messages (id)
);
INSERT INTO "attachments" VALUES('1','Å.pdf','','application/octet-stream',0,'','present',NULL,'b5d13edc81d95c67aab1c645bb3ee7d7',1,'001-a.pdf',3,'c35b21d6ca39aa7cc3b79a705d989f1a6e88b99ab43988d74048799e3db926a3',NULL);
INSERT INTO "attachments" VALUES('1','Å.pdf','','application/octet-stream',0,'','present',NULL,'219c1adc6c615c2ca24e202aaaeb4812',1,'001-a.pdf',3,'c35b21d6ca39aa7cc3b79a705d989f1a6e88b99ab43988d74048799e3db926a3',NULL);
INSERT INTO "attachments" VALUES('1','Å.pdf','','application/octet-stream',0,'','present',NULL,'a4e54fd3994754318b228db637f8cdea',1,'001-a.pdf',3,'c35b21d6ca39aa7cc3b79a705d989f1a6e88b99ab43988d74048799e3db926a3',NULL);
INSERT INTO "attachments" VALUES('1','Å.pdf','','application/octet-stream',0,'','present',NULL,'2dc7bc6db6225ea19e7dead8123503b5',1,'001-a.pdf',3,'c35b21d6ca39aa7cc3b79a705d989f1a6e88b99ab43988d74048799e3db926a3',NULL);
INSERT INTO "attachments" VALUES('1','Å.pdf','','application/octet-stream',0,'','present',NULL,'3f0b038a144e5720b6312e8db16177a1',1,'001-a.pdf',3,'c35b21d6ca39aa7cc3b79a705d989f1a6e88b99ab43988d74048799e3db926a3',NULL);
INSERT INTO "attachments" VALUES('1','Å.pdf','','application/octet-stream',0,'','present',NULL,'00546f23fa495972b5f8814eaa450d69',1,'001-a.pdf',3,'c35b21d6ca39aa7cc3b79a705d989f1a6e88b99ab43988d74048799e3db926a3',NULL);
CREATE TABLE attempts (
	id INTEGER NOT NULL, 
	delivery_id CHAR(32) NOT NULL, 
	fence INTEGER NOT NULL, 
	started_at DATETIME NOT NULL, 
	duration_ms INTEGER NOT NULL, 
	outcome VARCHAR(20) NOT NULL, 
	reason VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(delivery_id) REFERENCES deliveries (id)
);
INSERT INTO "attempts" VALUES(1,'efdcba43cb995ebba6d4cb0c67c765d0',1,'2026-11-24 09:00:00.000000',1000,'deferred','no answer 1');
INSERT INTO "attempts" VALUES(2,'efdcba43cb995ebba6d4cb0c67c765d0',2,'2026-11-24 09:00:00.000000',1000,'deferred','no answer 2');
INSERT INTO "attempts" VALUES(3,'efdcba43cb995ebba6d4cb0c67c765d0',3,'2026-11-24 09:00:00.000000',1000,'deferred','no answer 3');
INSERT INTO "attempts" VALUES(4,'79ae4f7f22725fcfa8e6f8605c21f1d8',1,'2026-11-24 09:00:00.000000',1000,'delivered','');
INSERT INTO "attempts" VALUES(5,'d1f7d712b77656c4880d5e9d278466a1',1,'2026-11-24 09:00:00.000000',1000,'dead','no such user');
CREATE TABLE bookmarks (
	mailbox VARCHAR NOT NULL, 
	party VARCHAR NOT NULL, 
	service VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	position DATETIME, 
	succeeded_at DATETIME, 
	failed_at DATETIME, 
	last_error VARCHAR, 
	refused BOOLEAN NOT NULL, 
	begun BOOLEAN NOT NULL, 
	begins_at DATETIME, 
	PRIMARY KEY (mailbox, party, service, resource)
);
INSERT INTO "bookmarks" VALUES('altinn','991825827','4255/8','skatt','2026-11-24 09:00:00.000000','2026-11-24 09:00:00.000000',NULL,NULL,0,1,NULL);
CREATE TABLE decisions (
	message_id CHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	decided_at DATETIME NOT NULL, 
	routing_version VARCHAR NOT NULL, 
	route VARCHAR NOT NULL, 
	chosen JSON NOT NULL, 
	recipients JSON NOT NULL, 
	direct JSON NOT NULL, 
	why JSON NOT NULL, 
	PRIMARY KEY (message_id, number), 
	FOREIGN KEY(message_id) REFERENCES messages (id), 
	FOREIGN KEY(routing_version) REFERENCES routing_versions (version)
);
INSERT INTO "decisions" VALUES('b5d13edc81d95c67aab1c645bb3ee7d7',1,'2026-11-24 09:00:00.000000','e6937e605e3045ffc845b72bbcdffbd2bc7c0e894dfb072c8aaea46b21539ece','Alt annet','["post"]','["post"]','[]','{}');
INSERT INTO "decisions" VALUES('219c1adc6c615c2ca24e202aaaeb4812',1,'2026-11-24 09:00:00.000000','e6937e605e3045ffc845b72bbcdffbd2bc7c0e894dfb072c8aaea46b21539ece','Alt annet','["post"]','["post"]','[]','{}');
INSERT INTO "decisions" VALUES('a4e54fd3994754318b228db637f8cdea',1,'2026-11-24 09:00:00.000000','e6937e605e3045ffc845b72bbcdffbd2bc7c0e894dfb072c8aaea46b21539ece','Alt annet','["post"]','["post"]','[]','{}');
INSERT INTO "decisions" VALUES('2dc7bc6db6225ea19e7dead8123503b5',1,'2026-11-24 09:00:00.000000','e6937e605e3045ffc845b72bbcdffbd2bc7c0e894dfb072c8aaea46b21539ece','Alt annet','["post"]','["post"]','[]','{}');
INSERT INTO "decisions" VALUES('3f0b038a144e5720b6312e8db16177a1',1,'2026-11-24 09:00:00.000000','e6937e605e3045ffc845b72bbcdffbd2bc7c0e894dfb072c8aaea46b21539ece','Alt annet','["post"]','["post"]','[]','{}');
INSERT INTO "decisions" VALUES('00546f23fa495972b5f8814eaa450d69',1,'2026-11-24 09:00:00.000000','e6937e605e3045ffc845b72bbcdffbd2bc7c0e894dfb072c8aaea46b21539ece','Alt annet','["post"]','["post"]','[]','{}');
INSERT INTO "decisions" VALUES('00546f23fa495972b5f8814eaa450d69',2,'2026-11-24 09:00:00.000000','e6937e605e3045ffc845b72bbcdffbd2bc7c0e894dfb072c8aaea46b21539ece','(operator)','["post"]','["post"]','[]','{"withdrawn": [{"destination": "mail", "generation": 1, "state": "pending", "attempts": 1, "error": "nobody is at home"}]}');
CREATE TABLE deletions (
	message_id CHAR(32) NOT NULL, 
	part VARCHAR(20) NOT NULL, 
	deleted_at DATETIME NOT NULL, 
	"by" VARCHAR NOT NULL, 
	rule VARCHAR NOT NULL, 
	what JSON NOT NULL, 
	PRIMARY KEY (message_id, part)
);
INSERT INTO "deletions" VALUES('fa37d1f9108450ba9575c23caf67b3b3','body','2026-11-24 09:00:00.000000','service','[retention]: body = 30d','{"size": 11, "sha256": "a7b0660a9f7736cd5ff3443d39848b2d0976573ea41b9cdc4d11dff793b1510a"}');
INSERT INTO "deletions" VALUES('fa37d1f9108450ba9575c23caf67b3b3','attachments','2026-11-24 09:00:00.000000','service','[retention]: attachments = 30d','{"files": [{"position": 1, "size": 3, "sha256": "c35b21d6ca39aa7cc3b79a705d989f1a6e88b99ab43988d74048799e3db926a3"}]}');
INSERT INTO "deletions" VALUES('fa37d1f9108450ba9575c23caf67b3b3','metadata','2026-11-24 09:00:00.000000','service','[retention]: metadata = 30d','{"fetched_at": "2026-11-24T09:00:00+00:00", "attempts": 1, "deliveries": 1, "decisions": 1, "marks": 0, "threads": 0, "attachments": 1, "legal_holds": 0}');
CREATE TABLE deliveries (
	id CHAR(32) NOT NULL, 
	message_id CHAR(32) NOT NULL, 
	destination VARCHAR NOT NULL, 
	recipients JSON NOT NULL, 
	decision INTEGER NOT NULL, 
	generation INTEGER NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	created_at DATETIME NOT NULL, 
	due_at DATETIME NOT NULL, 
	owner VARCHAR, 
	fence INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	last_error VARCHAR, 
	progress JSON, 
	delivered_at DATETIME, 
	awaiting_pickup BOOLEAN NOT NULL, 
	taken_at DATETIME, 
	rejection VARCHAR, 
	evidence JSON, 
	PRIMARY KEY (id), 
	CONSTRAINT generation_positive CHECK (generation >= 1), 
	FOREIGN KEY(message_id) REFERENCES messages (id), 
	UNIQUE (message_id, destination, generation)
);
INSERT INTO "deliveries" VALUES('efdcba43cb995ebba6d4cb0c67c765d0','b5d13edc81d95c67aab1c645bb3ee7d7','pending','["post"]',1,1,'pending','2026-11-24 09:00:00.000000','2026-11-24 09:00:00.000000',NULL,3,3,0,'no answer 3','{"step": 3}',NULL,0,NULL,NULL,'null');
INSERT INTO "deliveries" VALUES('29591d504df6582ca6420fd460311497','219c1adc6c615c2ca24e202aaaeb4812','claimed','["post"]',1,1,'claimed','2026-11-24 09:00:00.000000','2026-11-24 10:00:00.000000','old',1,1,0,NULL,'null',NULL,0,NULL,NULL,'null');
INSERT INTO "deliveries" VALUES('79ae4f7f22725fcfa8e6f8605c21f1d8','a4e54fd3994754318b228db637f8cdea','delivered','["post"]',1,1,'delivered','2026-11-24 09:00:00.000000','2026-11-24 10:00:00.000000',NULL,1,1,0,NULL,'null','2026-11-24 09:00:01.000000',1,NULL,NULL,'{"files": ["a"], "reference": "/drop/delivered"}');
INSERT INTO "deliveries" VALUES('c451273b1be65df49721aefa9a6b567f','2dc7bc6db6225ea19e7dead8123503b5','held','["post"]',1,1,'held','2026-11-24 09:00:00.000000','2026-11-24 09:00:00.000000',NULL,0,0,0,NULL,'null',NULL,0,NULL,NULL,'null');
INSERT INTO "deliveries" VALUES('d1f7d712b77656c4880d5e9d278466a1','3f0b038a144e5720b6312e8db16177a1','dead','["post"]',1,1,'dead','2026-11-24 09:00:00.000000','2026-11-24 10:00:00.000000',NULL,1,1,0,'no such user','null',NULL,0,NULL,NULL,'null');
INSERT INTO "deliveries" VALUES('d041eee9a081594e86373e2cdd58f018','00546f23fa495972b5f8814eaa450d69','erp','["post"]',2,1,'pending','2026-11-24 09:00:00.000000','2026-11-24 09:00:00.000000',NULL,0,0,0,NULL,'null',NULL,0,NULL,NULL,'null');
CREATE TABLE legal_holds (
	id INTEGER NOT NULL, 
	message_id CHAR(32) NOT NULL, 
	begun_at DATETIME NOT NULL, 
	begun_by VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	ended_at DATETIME, 
	ended_by VARCHAR, 
	PRIMARY KEY (id), 
	FOREIGN KEY(message_id) REFERENCES messages (id)
);
INSERT INTO "legal_holds" VALUES(1,'a4e54fd3994754318b228db637f8cdea','2026-11-24 09:00:00.000000','kari','sak 12',NULL,NULL);
CREATE TABLE marks (
	message_id CHAR(32) NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	policy VARCHAR(20) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	due_at DATETIME NOT NULL, 
	attempts INTEGER NOT NULL, 
	done_at DATETIME, 
	last_error VARCHAR, 
	PRIMARY KEY (message_id, kind), 
	FOREIGN KEY(message_id) REFERENCES messages (id)
);
INSERT INTO "marks" VALUES('b5d13edc81d95c67aab1c645bb3ee7d7','read','delivered','waiting','2026-11-24 09:00:00.000000',0,NULL,NULL);
INSERT INTO "marks" VALUES('219c1adc6c615c2ca24e202aaaeb4812','read','delivered','waiting','2026-11-24 09:00:00.000000',0,NULL,NULL);
INSERT INTO "marks" VALUES('a4e54fd3994754318b228db637f8cdea','read','stored','due','2026-11-24 09:00:00.000000',0,NULL,NULL);
INSERT INTO "marks" VALUES('a4e54fd3994754318b228db637f8cdea','confirmed','delivered','due','2026-11-24 09:00:01.000000',0,NULL,NULL);
INSERT INTO "marks" VALUES('2dc7bc6db6225ea19e7dead8123503b5','read','delivered','waiting','2026-11-24 09:00:00.000000',0,NULL,NULL);
INSERT INTO "marks" VALUES('3f0b038a144e5720b6312e8db16177a1','read','delivered','waiting','2026-11-24 09:00:00.000000',0,NULL,NULL);
INSERT INTO "marks" VALUES('00546f23fa495972b5f8814eaa450d69','read','delivered','waiting','2026-11-24 09:00:00.000000',0,NULL,NULL);
CREATE TABLE messages (
	kind VARCHAR(20) NOT NULL, 
	mailbox VARCHAR NOT NULL, 
	external_id VARCHAR NOT NULL, 
	party VARCHAR NOT NULL, 
	service VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	summary VARCHAR NOT NULL, 
	body VARCHAR NOT NULL, 
	body_type VARCHAR NOT NULL, 
	language VARCHAR NOT NULL, 
	sender_org VARCHAR, 
	sender_name VARCHAR NOT NULL, 
	technical_sender VARCHAR, 
	sender_reference VARCHAR NOT NULL, 
	created_at DATETIME, 
	requested_at DATETIME, 
	published_at DATETIME NOT NULL, 
	due_at DATETIME, 
	confidential BOOLEAN NOT NULL, 
	confirmation_needed BOOLEAN NOT NULL, 
	altinn2_id BIGINT, 
	properties JSON NOT NULL, 
	"references" JSON NOT NULL, 
	reply_options JSON NOT NULL, 
	id CHAR(32) NOT NULL, 
	fetched_at DATETIME NOT NULL, body_deleted_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (mailbox, external_id)
);
INSERT INTO "messages" VALUES('letter','altinn','pending','991825827','4255/8','skatt','Vedtak pending','','Hei på deg','text/markdown','','974761076','Skatteetaten',NULL,'',NULL,'2026-11-24 08:00:00.000000','2026-11-24 08:00:00.000000',NULL,0,0,NULL,'{}','[]','[]','b5d13edc81d95c67aab1c645bb3ee7d7','2026-11-24 09:00:00.000000',NULL);
INSERT INTO "messages" VALUES('letter','altinn','claimed','991825827','4255/8','skatt','Vedtak claimed','','Hei på deg','text/markdown','','974761076','Skatteetaten',NULL,'',NULL,'2026-11-24 08:00:00.000000','2026-11-24 08:00:00.000000',NULL,0,0,NULL,'{}','[]','[]','219c1adc6c615c2ca24e202aaaeb4812','2026-11-24 09:00:00.000000',NULL);
INSERT INTO "messages" VALUES('letter','altinn','delivered','991825827','4255/8','skatt','Vedtak delivered','','Hei på deg','text/markdown','','974761076','Skatteetaten',NULL,'',NULL,'2026-11-24 08:00:00.000000','2026-11-24 08:00:00.000000',NULL,0,0,NULL,'{}','[]','[]','a4e54fd3994754318b228db637f8cdea','2026-11-24 09:00:00.000000',NULL);
INSERT INTO "messages" VALUES('letter','altinn','held','991825827','4255/8','skatt','Vedtak held','','Hei på deg','text/markdown','','974761076','Skatteetaten',NULL,'',NULL,'2026-11-24 08:00:00.000000','2026-11-24 08:00:00.000000',NULL,0,0,NULL,'{}','[]','[]','2dc7bc6db6225ea19e7dead8123503b5','2026-11-24 09:00:00.000000',NULL);
INSERT INTO "messages" VALUES('letter','altinn','dead','991825827','4255/8','skatt','Vedtak dead','','Hei på deg','text/markdown','','974761076','Skatteetaten',NULL,'',NULL,'2026-11-24 08:00:00.000000','2026-11-24 08:00:00.000000',NULL,0,0,7,'{}','[]','[]','3f0b038a144e5720b6312e8db16177a1','2026-11-24 09:00:00.000000',NULL);
INSERT INTO "messages" VALUES('letter','altinn','moved','991825827','4255/8','skatt','Vedtak moved','','Hei på deg','text/markdown','','974761076','Skatteetaten',NULL,'',NULL,'2026-11-24 08:00:00.000000','2026-11-24 08:00:00.000000',NULL,0,0,NULL,'{}','[]','[]','00546f23fa495972b5f8814eaa450d69','2026-11-24 09:00:00.000000',NULL);
CREATE TABLE routing_versions (
	version VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	in_force_since DATETIME NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "routing_versions" VALUES('e6937e605e3045ffc845b72bbcdffbd2bc7c0e894dfb072c8aaea46b21539ece','[[recipient]]
name = "regnskap"
title = "Regnskapsavdelingen"
deliver_to = ["erp", "mail"]

[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]
name = "Skatt"
title_contains = ["skatt"]
to = ["regnskap"]

[[route]]
name = "Alt annet"
to = ["post"]
','2026-11-24 09:00:00.000000');
CREATE TABLE sightings (
	message_id CHAR(32) NOT NULL, 
	mailbox VARCHAR NOT NULL, 
	party VARCHAR NOT NULL, 
	service VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	external_id VARCHAR NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	first_seen_at DATETIME NOT NULL, 
	last_seen_at DATETIME NOT NULL, 
	attempts INTEGER NOT NULL, 
	last_error VARCHAR, 
	routing_version VARCHAR, 
	PRIMARY KEY (message_id)
);
INSERT INTO "sightings" VALUES('d1dc1b7490d355fe9544329a86bbf122','altinn','991825827','5504/1','taushetsbelagt','waiting','waiting','2026-11-24 09:00:00.000000','2026-11-24 09:00:00.000000',1,NULL,NULL);
INSERT INTO "sightings" VALUES('0eca0940bead5cfcba3fd8a6de8f9190','altinn','991825827','5504/1','taushetsbelagt','failing','failing','2026-11-24 09:00:00.000000','2026-11-24 09:00:00.000000',1,'HTTP 500',NULL);
INSERT INTO "sightings" VALUES('cfa615db239c5805bcc2a581f23a46f0','altinn','991825827','5504/1','taushetsbelagt','gone','gone','2026-11-24 09:00:00.000000','2026-11-24 09:00:00.000000',1,NULL,NULL);
CREATE TABLE threads (
	"key" VARCHAR NOT NULL, 
	message_id CHAR(32) NOT NULL, 
	PRIMARY KEY ("key", message_id), 
	FOREIGN KEY(message_id) REFERENCES messages (id)
);
CREATE TABLE tombstones (
	message_id CHAR(32) NOT NULL, 
	kind VARCHAR(20) NOT NULL, 
	mailbox VARCHAR NOT NULL, 
	party VARCHAR NOT NULL, 
	service VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	external_id VARCHAR NOT NULL, 
	altinn2_id BIGINT, 
	deleted_at DATETIME NOT NULL, 
	PRIMARY KEY (message_id)
);
INSERT INTO "tombstones" VALUES('fa37d1f9108450ba9575c23caf67b3b3','letter','altinn','991825827','4255/8','skatt','deleted',9,'2026-11-24 09:00:00.000000');
CREATE INDEX messages_by_altinn2_id ON messages (altinn2_id);
CREATE INDEX messages_by_arrival ON messages (fetched_at);
CREATE INDEX ix_attachments_sha256 ON attachments (sha256);
CREATE INDEX decisions_by_time ON decisions (decided_at, route);
CREATE INDEX deliveries_awaiting_pickup ON deliveries (awaiting_pickup, delivered_at);
CREATE INDEX deliveries_by_state_and_destination ON deliveries (state, destination, due_at);
CREATE INDEX deliveries_by_state_and_due ON deliveries (state, due_at);
CREATE INDEX ix_deliveries_message_id ON deliveries (message_id);
CREATE INDEX marks_by_state_and_due ON marks (state, due_at);
CREATE INDEX ix_attempts_delivery_id ON attempts (delivery_id);
CREATE INDEX deliveries_rejected ON deliveries (rejection);
CREATE INDEX tombstones_by_altinn2_id ON tombstones (altinn2_id);
CREATE INDEX ix_legal_holds_message_id ON legal_holds (message_id);
COMMIT;
