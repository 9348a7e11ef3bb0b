//! `station serve`: the API, the bays and the rounds of one station, until it is told to stop.
//!
//! ```text
//! config ─▶ alone ─▶ ledger, keys ─▶ custody chain verified ─▶ jobs reconciled ─▶ listeners, bays, rounds ─▶ SIGTERM ─▶ all stop
//! ```
//! Owns the order of starting and stopping and nothing else. Invariant: nothing is answered or touched
//! before the custody chain was found whole, and nothing that was begun is torn apart when it ends.

pub mod alone;
pub mod bay;
pub mod bays;
pub mod check;
pub mod config;
pub mod key_vault;
pub mod rounds;
pub mod run;
pub mod setup;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use api::arm::Arm;
use api::arm::locations::Locations;
use api::desk::Desk;
use api::desk::bays::Board;
use api::events::Feed;
use api::people::{Doorkeeper, Role, Tokens};
use api::server::config::Local;
use api::server::{Server, Surface};
use api::webhook::{Deliveries, Post, Settings};
use clap::Args;
use jobs::watch::Watch;
use jobs::{Jobs, Parts};
use keys::Vault;
use ledger::Ledger;
use model::Exit;
use proof::verify::DigestPool;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::alone::Alone;
use self::bays::{Crew, Floor, Screen};
use self::config::Config;
use self::rounds::Rounds;
use crate::exit::Failure;
use crate::state;

/// `station serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", env = "DRAYAGE_CONFIG", default_value = "/etc/drayage/config.toml")]
    config: PathBuf,
    /// Only say what is wrong with the configuration and the files that it names. Nobody is asked over the network.
    /// Run it as the station's user.
    #[arg(long)]
    check: bool,
}

/// How soon an event is seen by streams and web-hooks.
const EVENTS_EVERY: Duration = Duration::from_millis(500);

/// Waits until the station stops; a sender that is gone has stopped.
pub async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Runs the command.
///
/// # Errors
/// What keeps the station from starting, or from going on.
pub async fn run(arguments: ServeArguments) -> Result<Exit, Failure> {
    let mut config = config::load(&arguments.config).map_err(Failure::usage)?;
    let state = state::folder(config.state.as_deref()).map_err(Failure::usage)?;
    if config.server.local.is_none() {
        config.server.local = Some(local_socket(&state));
    }
    let mut problems = config.problems();
    problems.extend(check::problems(&config, &state));
    if arguments.check {
        problems.extend(check::folder_problems(&config));
    }
    if !problems.is_empty() {
        problems.iter().for_each(|problem| eprintln!("station: {}: {problem}", arguments.config.display()));
        return Ok(Exit::Usage);
    }
    if arguments.check {
        println!("{} is fine", arguments.config.display());
        return Ok(Exit::Success);
    }
    keys::harden_process().map_err(Failure::fatal)?;
    state::create(&state).map_err(Failure::fatal)?;
    let alone = Alone::take(&config, &state).await.map_err(Failure::fatal)?;
    let station = Station::open(config, &state, alone).await.map_err(Failure::fatal)?;
    station.serve().await.map_err(Failure::fatal)?;
    Ok(Exit::Success)
}

/// Where the command line on this machine reaches the station.
fn local_socket(state: &Path) -> Local {
    Local { socket: state.join("station.sock"), roles: BTreeSet::from([Role::Admin]) }
}

/// A station that is ready to serve.
struct Station {
    config: Config,
    ledger: Arc<dyn Ledger>,
    vault: Arc<Vault>,
    watch: Arc<Watch>,
    jobs: Arc<Jobs>,
    floor: Arc<Floor>,
    state: PathBuf,
    alone: Alone,
}

impl Station {
    async fn open(config: Config, state: &Path, alone: Alone) -> anyhow::Result<Station> {
        let ledger = setup::ledger(&config, state).await.context("opening the ledger")?;
        let vault = setup::vault(&config).await?;
        let watch = setup::watch(&config, state, Arc::clone(&ledger))?;
        let verified = watch.verify().await.context("deploy/custody.md says what to do")?;
        tracing::info!(entries = verified.head.no, "the custody chain is whole");
        let floor = Arc::new(Floor::default());
        let jobs = Arc::new(Jobs::new(Parts {
            jobs: Arc::clone(&ledger) as _,
            secrets: Arc::clone(&ledger) as _,
            vault: Arc::clone(&vault),
            bays: Arc::clone(&floor) as _,
            clock: jobs::system_clock(),
            station: config.name.clone(),
            sites: Locations::new(config.locations.clone())?.sites(),
            customer_keys: config.keys.customer_keys(),
        }));
        let released = ledger.release_all(&config.name).await?;
        let reconciled = jobs.reconcile().await.context("looking at what was left undone")?;
        tracing::info!(released, ?reconciled, "went on from where the last process ended");
        state::create(&state.join("logs"))?;
        Ok(Station { config, ledger, vault, watch, jobs, floor, state: state.to_owned(), alone })
    }

    async fn serve(self) -> anyhow::Result<()> {
        let (stop, stopped) = watch::channel(false);
        let oidc = self.config.server.oidc.clone().map(api::people::oidc::Oidc::new).transpose()?;
        let doorkeeper = Doorkeeper::new(self.tokens(), oidc, api::people::system_clock());
        let (screen, board) = Screen::new(&self.config.bays);
        let deliveries = self.deliveries()?;
        let surface = self.surface(board, deliveries.clone())?;
        let server = Server::bind(&self.config.server, surface, doorkeeper).await?;
        for address in server.addresses() {
            eprintln!("station: listening on {address}");
        }
        let rounds = Rounds {
            jobs: Arc::clone(&self.jobs),
            watch: Arc::clone(&self.watch),
            ledger: Arc::clone(&self.ledger),
            vault: Arc::clone(&self.vault),
            hangup: signal(SignalKind::hangup())?,
            checkpoint_every: Duration::from_secs(
                u64::from(self.config.custody.checkpoint_every_minutes) * 60,
            ),
            verify_at_hour: self.config.custody.verify_at_hour,
            keep_events_days: self.config.events.keep_days,
            keep_outcomes_days: self.config.ledger.keep_outcomes_days,
        };
        let rounds = tokio::spawn(rounds.run(stopped.clone()));
        let crew = Arc::new(self.crew(screen)?);
        let hooks = tokio::spawn(deliveries.run(stopped.clone()));
        let bays = tokio::spawn(bays::work(crew, self.config.bays.clone(), stopped.clone()));
        tokio::spawn(stop_on_signals(stop.clone())?);
        let mut stops = stopped.clone();
        let serving = server.run(async move { told_to_stop(&mut stops).await });
        // Each ends in its own order, whichever ended first: a request that was begun gets its answer.
        let (served, chain, alone) = tokio::join!(
            and_stop(&stop, serving),
            and_stop(&stop, rounds),
            and_stop(&stop, self.alone.keep(stopped.clone())),
        );
        bays.await.context("the bays died")?;
        hooks.await.context("the web-hooks' deliveries died")?;
        chain.context("the rounds died")??;
        served.context("serving")?;
        let _alone = alone?;
        // Nothing is touched any more: what was done leaves the machine signed.
        Ok(rounds::sign(&self.watch).await?)
    }

    fn tokens(&self) -> Tokens {
        Tokens::new(Arc::clone(&self.ledger) as _, Arc::clone(&self.ledger) as _, &*self.config.name)
    }

    fn deliveries(&self) -> anyhow::Result<Deliveries> {
        let guard = self.config.webhooks.guard();
        let guard = guard.map_err(|problems| anyhow::anyhow!(problems.join("; ")))?;
        Ok(Deliveries {
            ledger: Arc::clone(&self.ledger),
            vault: Arc::clone(&self.vault),
            post: Post::new(guard)?,
            settings: Settings::keeping(self.config.events.keep_days),
            clock: api::people::system_clock(),
            every: EVENTS_EVERY,
        })
    }

    /// Everything that is served over HTTP.
    fn surface(&self, bays: Board, deliveries: Deliveries) -> anyhow::Result<Surface> {
        let arm = api::arm::router(Arm {
            jobs: Arc::clone(&self.jobs),
            locations: Arc::new(Locations::new(self.config.locations.clone())?),
            public_url: self.config.public_url.clone(),
        });
        let desk = Desk::new(api::desk::Parts {
            ledger: Arc::clone(&self.ledger),
            vault: Arc::clone(&self.vault),
            station: self.config.name.clone(),
            clock: api::people::system_clock(),
            feed: Feed::start(Arc::clone(&self.ledger), EVENTS_EVERY),
            deliveries,
            bays,
            jobs: Arc::clone(&self.jobs),
            tokens: self.tokens(),
            custody: setup::custody_keys(&self.config, &self.state, Arc::clone(&self.watch))?,
            account_of: setup::account_of,
        });
        Ok(Surface { router: desk.routes().merge(arm), public: api::desk::PUBLIC })
    }

    fn crew(&self, screen: Screen) -> anyhow::Result<Crew> {
        let workers = std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
        Ok(Crew {
            jobs: Arc::clone(&self.jobs),
            ledger: Arc::clone(&self.ledger),
            vault: Arc::clone(&self.vault),
            floor: Arc::clone(&self.floor),
            transfer: self.config.transfer.clone(),
            digests: Arc::new(DigestPool::start(workers)?),
            logs_dir: self.state.join("logs"),
            screen,
        })
    }
}

/// The end of one part of the station is the end of all.
async fn and_stop<T>(stop: &watch::Sender<bool>, part: impl Future<Output = T>) -> T {
    let ended = part.await;
    stop.send_replace(true);
    ended
}

fn stop_on_signals(stop: watch::Sender<bool>) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        eprintln!("station: stopping; drives that are being copied stop at the next block and go on later");
        stop.send_replace(true);
    })
}
