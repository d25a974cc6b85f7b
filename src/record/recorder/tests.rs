mod bench;
mod clocks;
mod disks;
mod feed;
mod files;
mod random;
mod recorded;
mod slow;
