-- What clients said of how long a session and its screenshots are kept. The request itself reads as a default where they
-- said nothing, and those of before cannot be told apart, so they say nothing.
ALTER TABLE session_requests ADD COLUMN delete_after_min integer;
ALTER TABLE session_requests ADD COLUMN delete_screenshot_after_min integer;
