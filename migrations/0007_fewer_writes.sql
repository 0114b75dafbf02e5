-- What a row costs after its insert is decided by how often it is merged and by how many files a
-- part has (figures in docs/adr/006). A fresh block is one compact part of few files instead of
-- about a hundred; merges wait for two dozen parts of a size instead of five, so that a row is
-- rewritten less often, at the price of up to a hundred parts more per day.
ALTER TABLE logs MODIFY SETTING min_bytes_for_wide_part = 134217728, merge_selector_base = 24;
