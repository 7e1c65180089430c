//! The interface of audit logs: events recorded, read and proven, as JSON over plain HTTP.
//!
//! | module | what |
//! |---|---|
//! | [`routes`] | every route, one row each |
//! | [`audit`] | what all routes share |
//! | [`http`] | the plain HTTP edge |
//! | [`refusal`] | errors of the audit trail as refusals |
//! | [`shown`] | an event as an answer shows it |

pub mod routes;

pub mod audit;

pub mod http;

pub mod refusal;

pub mod shown;
