//! Every secret manager that a configuration names, and the secrets that it refers to.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bartizan_config::{KeyInVault, SecretFault, SecretManager, SecretName};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Secret};
use bartizan_net::Reach;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::entry::Entry;
use crate::fault::Fault;
use crate::server::Server;

/// Most secrets that are kept.
pub const ENTRIES_MAX: usize = 16_384;
/// Secrets that are asked for at a time.
const AT_ONCE: usize = 8;
/// Time for the secrets that a configuration refers to for the first time.
const FETCH_TIME: Duration = Duration::from_secs(30);
/// Longest time until it is looked again whether something is due.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What asking needs.
#[derive(Debug)]
pub struct ManagersSettings {
    /// How servers are reached.
    pub reach: Arc<dyn Reach>,
    /// The time of certificates.
    pub clock: Clock,
    /// Where it is told how many secrets cannot be had.
    pub metrics: SharedMetrics,
}

/// Every secret manager that a configuration names, and the secrets that it refers to. Values are fetched
/// when they are first referred to ([`Managers::fetch`]), then asked for again by a task of its own.
pub struct Managers {
    shared: Arc<Shared>,
    /// Its end ends the task.
    _task: oneshot::Sender<()>,
}

/// Holds secrets: nothing is shown.
impl fmt::Debug for Managers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Managers(…)")
    }
}

struct Shared {
    settings: ManagersSettings,
    state: Mutex<State>,
    /// Counts the changes of values.
    generation: watch::Sender<u64>,
    /// Something new is due.
    news: Notify,
}

/// The id of the secret manager, and the secret in it.
type At = (Arc<str>, Arc<str>);

/// A secret manager that can be asked, or as it is written and why it cannot.
type Known = Result<Arc<Server>, (Arc<SecretManager>, Fault)>;

#[derive(Default)]
struct State {
    servers: HashMap<Arc<str>, Known>,
    entries: HashMap<At, Entry>,
    /// What is referred to and was never asked for.
    wanted: BTreeSet<At>,
    /// Every secret manager of the configuration in force, whether anything refers to it or not.
    in_force: Vec<Arc<SecretManager>>,
    /// Those of them that something was written to while nothing referred to them: their tokens are
    /// used for what is written next.
    writers: HashMap<Arc<str>, Arc<Server>>,
}

impl Managers {
    /// Nothing is known yet. The task that asks again runs where `reach` runs tasks.
    pub fn new(settings: ManagersSettings) -> Self {
        let reach = Arc::clone(&settings.reach);
        let shared = Arc::new(Shared {
            settings,
            state: Mutex::default(),
            generation: watch::Sender::new(0),
            news: Notify::new(),
        });
        let (task, end) = oneshot::channel();
        reach.spawn(Box::pin(refresh_for_ever(Arc::clone(&shared), end)));
        Self { shared, _task: task }
    }

    /// The value of a reference, as far as it is known.
    pub fn value(
        &self,
        manager: &Arc<SecretManager>,
        name: &SecretName,
    ) -> Result<String, SecretFault> {
        let mut state = self.shared.lock();
        state.know(manager, &self.shared.settings);
        let at = (Arc::clone(&name.manager), Arc::clone(&name.path));
        let shown = format!("`{name}` cannot be had from `{}`", manager.address());
        if let Some(entry) = state.entries.get_mut(&at) {
            entry.is_used = true;
            let value = entry.value(name.key.as_deref());
            return value.map_err(|cause| SecretFault::Refused(format!("{shown}: {cause}")));
        }
        if let Some(Err((_, fault))) = state.servers.get(&name.manager) {
            return Err(SecretFault::Refused(format!("{shown}: {fault}")));
        }
        if state.entries.len() + state.wanted.len() >= ENTRIES_MAX {
            let problem = format!("{shown}: there are more than {ENTRIES_MAX} secrets already");
            return Err(SecretFault::Refused(problem));
        }
        state.wanted.insert(at);
        Err(SecretFault::NotFetched)
    }

    /// Fetches what was referred to and is not known; false where there is nothing. Then every such
    /// reference has a value, or a reason why not.
    pub async fn fetch(&self) -> bool {
        let wanted = std::mem::take(&mut self.shared.lock().wanted);
        if wanted.is_empty() {
            return false;
        }
        let all = wanted.iter().cloned().collect();
        if timeout(FETCH_TIME, self.shared.ask_for(all)).await.is_err() {
            for at in wanted {
                let fault = format!("not within {} s, with others", FETCH_TIME.as_secs());
                self.shared.give_up(&at, Fault::Unreachable(fault));
            }
        }
        self.shared.news.notify_one();
        true
    }

    /// A configuration will be judged anew: what it does not refer to is forgotten by
    /// [`Managers::end`]. Gives what [`Managers::changed`] is to be asked with.
    pub fn begin(&self) -> u64 {
        let generation = *self.shared.generation.borrow();
        let mut state = self.shared.lock();
        state.entries.values_mut().for_each(|entry| entry.is_used = false);
        generation
    }

    /// The whole configuration was judged.
    pub fn end(&self) {
        let mut state = self.shared.lock();
        state.entries.retain(|_, entry| entry.is_used);
        let State { servers, entries, .. } = &mut *state;
        let used: BTreeSet<&Arc<str>> = entries.keys().map(|(id, _)| id).collect();
        servers.retain(|id, _| used.contains(id));
        self.shared.measure(&state);
    }

    /// These are the secret managers of the configuration in force.
    pub fn know(&self, managers: &[Arc<SecretManager>]) {
        let mut state = self.shared.lock();
        state.in_force = managers.to_vec();
        let is_known = |server: &Server| {
            managers
                .iter()
                .any(|one| one.id == server.manager().id && one.is_like(server.manager()))
        };
        let gone: Vec<_> = state.writers.extract_if(|_, server| !is_known(server)).collect();
        drop(state);
        for (_, server) in gone {
            // Nobody waits for it: a token that it does not take back ends by itself.
            self.shared.settings.reach.spawn(Box::pin(async move { server.leave().await }));
        }
    }

    /// Replaces a value in a secret, of which all else stays as it is. The Vault must be the one that
    /// `at` names, and `at` lie below its prefix, or nothing is asked. Where Vault keeps versions,
    /// nobody else's write is lost.
    pub async fn write(&self, at: &KeyInVault, value: &Secret) -> Result<(), Fault> {
        let (server, path) = self.shared.server_for(at)?;
        let text = value.expose_str();
        let text = text.ok_or_else(|| Fault::Unusable("the value is no text".to_owned()))?;
        server.write(&path, &at.key, text).await
    }

    /// Waits until values are others than when that was known.
    pub async fn changed(&self, since: u64) {
        let mut generation = self.shared.generation.subscribe();
        // The sender lives as long as we do.
        let _ = generation.wait_for(|generation| *generation != since).await;
    }
}

impl State {
    /// Makes sure that a secret manager is asked as it is written now.
    fn know(&mut self, manager: &Arc<SecretManager>, settings: &ManagersSettings) {
        let known = self.servers.get(&manager.id).map(|server| match server {
            Ok(server) => server.manager(),
            Err((manager, _)) => manager,
        });
        if known.is_some_and(|known| known.is_like(manager)) {
            return;
        }
        self.entries.retain(|(id, _), _| *id != manager.id);
        let reach = Arc::clone(&settings.reach);
        let server = Server::new(Arc::clone(manager), reach, &settings.clock);
        let server = server.map(Arc::new).map_err(|fault| (Arc::clone(manager), fault));
        self.servers.insert(Arc::clone(&manager.id), server);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Vault that a value is written to, as it is in force, and the path behind its prefix.
    fn server_for(&self, at: &KeyInVault) -> Result<(Arc<Server>, String), Fault> {
        let mut state = self.lock();
        let id = format!("vault/{}", at.manager);
        let no = |why: &str| Fault::Unusable(format!("the secret manager `{id}` {why}"));
        let found = state.in_force.iter().find(|manager| *manager.id == *id);
        let (manager, vault) = found
            .and_then(|manager| Some((manager, manager.vault()?)))
            .ok_or_else(|| no("is not in force"))?;
        if vault.uri != at.uri.trim_end_matches('/') {
            return Err(no("has another `uri` than the node file names"));
        }
        if vault.namespace != at.namespace || vault.mount != at.mount {
            return Err(no("has another `namespace` or `mount` than the node file names"));
        }
        let whole = format!("{}/{}", at.mount, at.path);
        let path = whole.strip_prefix(&*vault.prefix).and_then(|rest| rest.strip_prefix('/'));
        let path = path.ok_or_else(|| no("has a `prefix` that the path is not below"))?.to_owned();
        if let Some(Ok(server)) = state.servers.get(&manager.id)
            && server.manager().is_like(manager)
        {
            return Ok((Arc::clone(server), path));
        }
        if let Some(server) = state.writers.get(&manager.id) {
            // What is no more like this was dismissed when that became known.
            return Ok((Arc::clone(server), path));
        }
        let (reach, clock) = (Arc::clone(&self.settings.reach), &self.settings.clock);
        let server = Arc::new(Server::new(Arc::clone(manager), reach, clock)?);
        state.writers.insert(Arc::clone(&server.manager().id), Arc::clone(&server));
        Ok((server, path))
    }

    /// Asks for secrets, some at a time.
    async fn ask_for(&self, all: VecDeque<At>) {
        let queue = Mutex::new(all);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = || async {
            while let Some(at) = next() {
                self.ask(&at).await;
            }
        };
        let mut workers: Vec<_> = (0..AT_ONCE).map(|_| Some(Box::pin(work()))).collect();
        poll_fn(|cx| {
            for worker in &mut workers {
                if worker.as_mut().is_some_and(|worker| worker.as_mut().poll(cx).is_ready()) {
                    *worker = None;
                }
            }
            if workers.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    async fn ask(&self, at: &At) {
        let server = match self.lock().servers.get(&at.0) {
            Some(Ok(server)) => Arc::clone(server),
            _ => return,
        };
        let outcome = server.read(&at.1).await;
        let mut state = self.lock();
        // Another configuration may have come meanwhile.
        let is_current =
            matches!(state.servers.get(&at.0), Some(Ok(now)) if Arc::ptr_eq(now, &server));
        if !is_current {
            return;
        }
        let is_new = !state.entries.contains_key(at);
        let entry = state.entries.entry(at.clone()).or_insert_with(|| Entry::new(server.manager()));
        if let (Err(fault), false) = (&outcome, entry.is_failing()) {
            let (id, path) = at;
            tracing::warn!("the secret at `{path}` of `{id}` cannot be had: {fault}");
        }
        let is_other = entry.take(outcome, server.manager());
        self.measure(&state);
        drop(state);
        if is_other && !is_new {
            self.tell();
        }
    }

    fn give_up(&self, at: &At, fault: Fault) {
        let mut state = self.lock();
        let Some(Ok(server)) = state.servers.get(&at.0) else { return };
        let manager = Arc::clone(server.manager());
        if !state.entries.contains_key(at) {
            let mut entry = Entry::new(&manager);
            entry.take(Err(fault), &manager);
            state.entries.insert(at.clone(), entry);
        }
    }

    fn tell(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    fn measure(&self, state: &State) {
        let failing = state.entries.values().filter(|entry| entry.is_failing()).count();
        self.settings.metrics.secrets_failing.set(i64::try_from(failing).unwrap_or(i64::MAX));
    }

    /// When something is to be done next.
    async fn next(&self) -> Instant {
        let (servers, due) = {
            let state = self.lock();
            let servers: Vec<_> =
                state.servers.values().filter_map(|server| server.as_ref().ok().cloned()).collect();
            (servers, state.entries.values().map(Entry::next).min())
        };
        let mut next = due.unwrap_or_else(|| Instant::now() + LOOK_AGAIN);
        for server in servers {
            next = server.renewal().await.map_or(next, |renewal| renewal.min(next));
        }
        next.min(Instant::now() + LOOK_AGAIN)
    }

    /// Does what is due.
    async fn refresh(&self) {
        let servers: Vec<_> = {
            let state = self.lock();
            state.servers.values().filter_map(|server| server.as_ref().ok().cloned()).collect()
        };
        for server in servers {
            server.renew_if_due().await;
        }
        let due = {
            let (now, state) = (Instant::now(), self.lock());
            let due = state.entries.iter().filter(|(_, entry)| entry.due <= now);
            due.map(|(at, _)| at.clone()).collect()
        };
        self.ask_for(due).await;
        let mut state = self.lock();
        let ended: Vec<bool> = state.entries.values_mut().map(Entry::expire).collect();
        drop(state);
        if ended.contains(&true) {
            self.tell();
        }
    }
}

async fn refresh_for_ever(shared: Arc<Shared>, mut end: oneshot::Receiver<()>) {
    loop {
        let work = async {
            let next = shared.next().await;
            tokio::select! {
                () = sleep_until(next) => shared.refresh().await,
                () = shared.news.notified() => {}
            }
        };
        tokio::select! {
            () = work => {}
            _ = &mut end => return,
        }
    }
}
