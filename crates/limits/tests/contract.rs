//! The contract of a limit, where each process has its own.

use port_contracts::LimitHarness;

async fn own() -> LimitHarness {
    LimitHarness {
        tokens: None,
        keep: Box::new(()),
    }
}

port_contracts::limit_contract!(own);
