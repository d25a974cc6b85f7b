mod bench;
mod clocks;
mod disks;
mod files;
mod random;
