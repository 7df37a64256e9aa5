-- What lent GPUs did in the minute of a sample: how many were read, of these how many computed, in thousandths, and their memory in bytes.

ALTER TABLE sample ADD COLUMN gpus INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sample ADD COLUMN gpu INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sample ADD COLUMN gpu_memory INTEGER NOT NULL DEFAULT 0;
