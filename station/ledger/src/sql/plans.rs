//! How the databases carry out what is asked all the time, for the tests of both.

use sqlx::{AssertSqlSafe, Execute, QueryBuilder, Row as _};

use super::{Connection, Database, access, claims, custody, find, hooks, outbox, secrets, upkeep};
use crate::office::job::{JobFilter, JobScope};

type Arguments = <Database as sqlx::Database>::Arguments;

/// A statement as it is executed.
struct Asked {
    sql: String,
    arguments: Arguments,
}

fn built(mut query: QueryBuilder<Database>) -> Asked {
    let sql = query.sql().as_str().to_owned();
    let arguments = query.build().take_arguments().expect("encodable").expect("not taken before");
    Asked { sql, arguments }
}

fn fixed<'q>(mut query: impl Execute<'q, Database>, sql: &str) -> Asked {
    let arguments = query.take_arguments().expect("encodable").expect("not taken before");
    Asked { sql: sql.to_owned(), arguments }
}

fn filters() -> Vec<JobFilter> {
    let subscription = "s".to_owned();
    let scopes = [
        JobScope::All,
        JobScope::Subscription(subscription.clone()),
        JobScope::ResourceGroup { subscription, resource_group: "g".to_owned() },
    ];
    let some = |is: bool, text: &str| is.then(|| text.to_owned());
    let filters = scopes.into_iter().flat_map(|scope| {
        [(false, false), (true, false), (false, true), (true, true)].map(|(state, job_type)| JobFilter {
            scope: scope.clone(),
            state: some(state, "Shipping"),
            job_type: some(job_type, "Import"),
        })
    });
    filters.collect()
}

fn all_asked() -> Vec<Asked> {
    let drive = model::DriveId::new("WD-1").expect("not empty");
    let mut asked: Vec<Asked> =
        filters().iter().map(|filter| built(find::page_query(filter, Some(7), 100))).collect();
    asked.extend([
        built(claims::free_drive_query(7, "north", None)),
        built(claims::free_drive_query(7, "north", Some(&drive))),
        built(find::active_drives_query(7, None, None, 100)),
        built(find::active_drives_query(7, Some("north"), Some(&drive), 100)),
        built(hooks::due_query(7)),
    ]);
    let query = sqlx::query::<Database>;
    asked.extend([
        fixed(query(find::ACTIVE_JOB_OF_DRIVE).bind("d"), find::ACTIVE_JOB_OF_DRIVE),
        fixed(query(find::ACTIVE_JOBS_OF_PARCEL).bind("p").bind(9i64), find::ACTIVE_JOBS_OF_PARCEL),
        fixed(query(find::DUE_TIMERS).bind(7i64).bind(9i64), find::DUE_TIMERS),
        fixed(query(claims::RELEASE_ALL).bind("north"), claims::RELEASE_ALL),
        fixed(query(custody::LAST_JOB_NO).bind("j").bind("north"), custody::LAST_JOB_NO),
        fixed(query(custody::ROWS).bind("north").bind(7i64).bind(9i64), custody::ROWS),
        fixed(query(custody::OF_JOB).bind("j").bind("c").bind(7i64).bind(9i64), custody::OF_JOB),
        fixed(query(access::BY_HASH).bind([7u8; 32].as_slice()), access::BY_HASH),
        fixed(query(secrets::TO_REWRAP).bind("a").bind("m").bind(9i64), secrets::TO_REWRAP),
        fixed(query(outbox::EVENTS).bind(7i64).bind(9i64), outbox::EVENTS),
        fixed(query(upkeep::REPLIES).bind(7i64).bind(9i64), upkeep::REPLIES),
        fixed(query(upkeep::EXPIRED_TOKENS).bind(7i64).bind(9i64), upkeep::EXPIRED_TOKENS),
        fixed(query(upkeep::REVOKED_TOKENS).bind(7i64).bind(9i64), upkeep::REVOKED_TOKENS),
    ]);
    asked
}

/// Each statement with its plan, a line a step; `explain` is the database's word, `column` where it
/// says the step.
pub(super) async fn plans(
    connection: &mut Connection,
    explain: &str,
    column: usize,
) -> Vec<(String, String)> {
    let mut plans = Vec::new();
    for Asked { sql, arguments } in all_asked() {
        let query = sqlx::query_with(AssertSqlSafe(format!("{explain} {sql}")), arguments);
        let rows = query.fetch_all(&mut *connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let steps: Vec<String> = rows.iter().map(|row| row.try_get(column).expect("a text")).collect();
        plans.push((sql, steps.join("\n")));
    }
    plans
}
