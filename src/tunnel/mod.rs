//! Upgraded connections to the API server, each for one pod.
