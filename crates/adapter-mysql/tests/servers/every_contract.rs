//! All contracts of the store, one case after the other, on one server.

/// Makes `every_contract_holds`, which runs them.
macro_rules! every_contract {
    () => {
        static SERVER: std::sync::OnceLock<String> = std::sync::OnceLock::new();

        async fn store() -> port_contracts::StoreHarness {
            $crate::harness::store(
                test_servers::TestDatabase::create_on(SERVER.get().unwrap().clone()).await,
            )
            .await
        }

        port_contracts::user_repository_contract!(store, in_turn);
        port_contracts::show_repository_contract!(store, in_turn);
        port_contracts::ticket_ledger_contract!(store, in_turn);
        port_contracts::lane_claims_contract!(store, in_turn);

        async fn every_contract_holds(server: &test_servers::DatabaseServer) {
            SERVER.set(server.url()).unwrap();
            user_repository::in_turn().await;
            show_repository::in_turn().await;
            ticket_ledger::in_turn().await;
            lane_claims::in_turn().await;
        }
    };
}
