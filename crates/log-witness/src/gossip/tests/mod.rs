//! Books that exchange, without sockets and without a clock.

mod distributions;
mod ring;
