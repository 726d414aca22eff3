-- Statistics that were gathered while a table was small have the planner scan it when it is large: with those of one session, a
-- page of a list took seconds among 100,000. Without any, it follows the indexes, which every statement has been measured with.
DROP TABLE IF EXISTS sqlite_stat1;
DROP TABLE IF EXISTS sqlite_stat4;
