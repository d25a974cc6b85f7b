//! The live core over fake sockets: no thread, no clock, no network.

mod day;
mod doctor;
mod encoder;
mod enhanced;
mod files;
mod fixture;
mod frames;
mod hls;
mod joins;
mod kept;
mod log_model;
mod publishers;
mod recording;
mod sharing;
mod slow_players;
mod steady_state;
mod wants;
