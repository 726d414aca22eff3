//! The rules, held by tables (`matrix`, `contract`), by properties and by stories.

mod contract;
mod matrix;
mod properties;
mod storage;
mod stories;
mod tables;
mod world;
