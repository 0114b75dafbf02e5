//! The families of detectors: each asks a service's lines one question.
//!
//! Invariant: what a family keeps stands in a section of its own in a snapshot, with a version of its
//! own, so that a change to one starts that one anew and no other.

mod closing;
mod error_burst;
mod error_rate;
mod hosts;
mod latency;
mod logins;
mod novelty;
mod on_heap;
mod rate;
mod rules;
mod status;
mod templates;

use closing::Closing;
use error_burst::ErrorBurst;
use error_rate::ErrorRate;
use hosts::Hosts;
use latency::Latency;
use logins::Logins;
use novelty::Novelty;
use rate::Rate;
use rules::Rules;
use status::Status;
use templates::Templates;

use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::Telling,
    finding::{Kind, SampleLine},
    record::{Login, Observation, time::EventTime},
    window::Window,
};

/// Which family. Its number names its section in a snapshot: it is never another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    ErrorBurst = 1,
    ErrorRate = 2,
    Rate = 3,
    Latency = 4,
    Novelty = 5,
    Logins = 6,
    Templates = 7,
    Status = 8,
    Hosts = 9,
    Rules = 10,
}

impl Family {
    pub(crate) const ALL: [Self; 10] = [
        Self::ErrorBurst,
        Self::ErrorRate,
        Self::Rate,
        Self::Latency,
        Self::Novelty,
        Self::Logins,
        Self::Templates,
        Self::Status,
        Self::Hosts,
        Self::Rules,
    ];

    /// The one that finds a kind.
    pub(crate) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::ErrorBurst => Self::ErrorBurst,
            Kind::ErrorRateSpike => Self::ErrorRate,
            Kind::RateSpike | Kind::RateDrop => Self::Rate,
            Kind::LatencyShift | Kind::LatencyTail => Self::Latency,
            Kind::NewTemplate => Self::Novelty,
            Kind::FailedLogins | Kind::PasswordSpray | Kind::DistributedBruteForce => Self::Logins,
            Kind::TemplateSurge | Kind::TemplateVanished => Self::Templates,
            Kind::StatusShift => Self::Status,
            Kind::Silence => Self::Hosts,
            Kind::Rule => Self::Rules,
        }
    }

    /// Of what it keeps and answers: raised with every change that lets it answer otherwise to the same
    /// lines, or keep something else.
    pub(crate) const fn version(self) -> u32 {
        match self {
            Self::ErrorBurst => ErrorBurst::VERSION,
            Self::ErrorRate => ErrorRate::VERSION,
            Self::Rate => Rate::VERSION,
            Self::Latency => Latency::VERSION,
            Self::Novelty => Novelty::VERSION,
            Self::Logins => Logins::VERSION,
            Self::Templates => Templates::VERSION,
            Self::Status => Status::VERSION,
            Self::Hosts => Hosts::VERSION,
            Self::Rules => Rules::VERSION,
        }
    }
}

/// All families of one service.
#[derive(Debug, Clone)]
pub(crate) struct Families {
    burst: ErrorBurst,
    error_rate: ErrorRate,
    rate: Rate,
    latency: Latency,
    novelty: Novelty,
    logins: Logins,
    templates: Templates,
    status: Status,
    hosts: Hosts,
    rules: Rules,
}

impl Families {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            burst: ErrorBurst::new(config),
            error_rate: ErrorRate::new(config),
            rate: Rate::new(config),
            latency: Latency::default(),
            novelty: Novelty::default(),
            logins: Logins::default(),
            templates: Templates::default(),
            status: Status::default(),
            hosts: Hosts::default(),
            rules: Rules::default(),
        }
    }

    /// See [`ErrorBurst::observe`].
    pub(crate) fn observe_burst(
        &mut self,
        seen: &Observation<'_>,
        recent: ((u64, u64), Option<i64>),
        telling: &mut Telling<'_>,
    ) {
        let told = self.error_rate.told_share();
        self.burst.observe(seen, recent, told, telling);
    }

    /// A record was counted in `window`, which is still open and has lines enough to ask.
    pub(crate) fn observe_rate(
        &mut self,
        seen: &Observation<'_>,
        window: &Window,
        telling: &mut Telling<'_>,
    ) {
        let mut unexplained = self.unexplained(window);
        let config = telling.config;
        let excess = self.rate.would_spike(window, unexplained, config);
        let is_named = self.is_told() || self.status.is_open() || self.templates.is_open();
        if let Some(excess) = excess.filter(|_| !is_named)
            && (self.status.explains(window, excess, telling)
                || self.templates.explains(seen, window, excess, telling))
        {
            unexplained = self.unexplained(window);
        }
        self.rate.observe(seen, window, unexplained, telling);
    }

    /// A line was counted in its window.
    #[inline]
    pub(crate) fn observe_in_time(&mut self, seen: &Observation<'_>, config: &Config) {
        let start = seen.time.start_of_window(config.window_ms);
        if let Some(millis) = seen.latency_ms {
            self.latency.observe(seen, start, millis, config);
        }
        if seen.status != 0 {
            self.status.observe(seen, start, config);
        }
        if !seen.host.is_empty() {
            self.hosts.observe(seen, start, config);
        }
    }

    /// Whenever it is noticed that the window is closed, it is judged at the moment it closes.
    /// `last_line`: one that the service wrote lately, and the offset of the last in a closed window.
    pub(crate) fn window_closed(
        &mut self,
        window: &Window,
        last_line: (Option<&SampleLine>, i64),
        telling: Telling<'_>,
    ) {
        // Before the burst may end with this window. What answers and templates account for is known once
        // they were asked.
        let told = self.novelty.accounts_for(window) + self.logins.accounts_for(window);
        let mut closing = Closing {
            window,
            was_bursting: self.burst.is_open(),
            unexplained: self.burst.unexplained(&window.without(told)),
            last_line,
            telling,
        };
        if self.burst.window_closed(&mut closing) {
            self.error_rate.forget();
        }
        self.error_rate
            .window_closed(&mut closing, self.burst.lines());
        // What names the storm is asked before its volume is.
        let is_told = closing.was_bursting || self.is_told();
        let is_told = is_told || self.novelty.is_open() || self.logins.is_open();
        self.status
            .window_closed(&mut closing, is_told || self.templates.is_open());
        self.templates
            .window_closed(&mut closing, is_told || self.status.is_open());
        let named = self.status.accounts_for(window) + self.templates.accounts_for(window);
        closing.unexplained -= named.min(closing.unexplained);
        // Lines that are told are neither too many nor learned, but no fewer than usual are left: they may have
        // come instead of others. And those that are missed are none too few.
        let beyond = window.records.saturating_sub(self.rate.level(window));
        let told = window.without(self.told_of(window).min(beyond));
        let own = told.with(told.records + self.templates.misses(window));
        closing.window = &own;
        self.rate.window_closed(&mut closing);
        closing.window = window;
        // What fails or is flooded is slow as well: that is told already.
        let is_told = closing.was_bursting || self.is_told() || self.templates.is_open();
        let is_told = is_told || self.status.is_open();
        self.latency.window_closed(&mut closing, is_told);
        self.hosts
            .window_closed(&mut closing, is_told || self.latency.is_open());
        self.novelty.window_closed(&mut closing, is_told);
        self.logins.window_closed(&mut closing, is_told);
        self.rules.window_closed(&mut closing, is_told);
    }

    /// Lines of a window that neither a burst of errors nor new warnings nor failed logins account for, as
    /// far as those are told.
    fn unexplained(&self, window: &Window) -> u64 {
        self.burst
            .unexplained(&window.without(self.told_of(window)))
    }

    /// Lines of a window that new warnings, failed logins, a template or answers which are told account for.
    fn told_of(&self, window: &Window) -> u64 {
        self.novelty.accounts_for(window)
            + self.logins.accounts_for(window)
            + self.templates.accounts_for(window)
            + self.status.accounts_for(window)
    }

    /// A line came, whatever its time.
    #[inline]
    pub(crate) fn observe_line(&mut self, seen: &Observation<'_>, telling: &mut Telling<'_>) {
        if seen.is_quiet {
            let start = seen.time.start_of_window(telling.config.window_ms);
            self.rate.observe_quiet(start);
        }
        if let Some(written) = seen.rules {
            self.rules.observe(seen, written, telling);
        }
        let login = Login::of(seen.message, seen.status);
        if login.is_none() && seen.template == 0 {
            return;
        }
        let is_told = self.burst.is_open() || self.error_rate.is_open() || self.rate.is_spiking();
        let has_failed = login == Some(Login::Failed);
        if let Some(login) = login {
            self.logins.observe(seen, login, is_told, telling);
        }
        self.templates.observe(seen, telling.config);
        // A failed login is no news as such.
        self.novelty.observe(seen, is_told || has_failed, telling);
    }

    /// Whether errors or the rate are told.
    fn is_told(&self) -> bool {
        self.burst.is_open() || self.error_rate.is_open() || self.rate.is_open()
    }

    /// What is open ends here.
    pub(crate) fn give_up(&mut self, telling: &mut Telling<'_>) {
        self.burst.give_up(telling);
        self.error_rate.give_up(telling);
        self.rate.give_up(telling);
        self.latency.give_up(telling);
        self.novelty.give_up(telling);
        self.logins.give_up(telling);
        self.templates.give_up(telling);
        self.status.give_up(telling);
        self.hosts.give_up(telling);
        self.rules.give_up(telling);
    }

    /// See [`crate::episode::Episodes::clock_set`].
    pub(crate) fn clock_set(&mut self, to: EventTime) {
        self.burst.clock_set(to);
        self.error_rate.clock_set(to);
        self.rate.clock_set(to);
        self.latency.clock_set(to);
        self.novelty.clock_set(to);
        self.logins.clock_set(to);
        self.templates.clock_set(to);
        self.status.clock_set(to);
        self.hosts.clock_set(to);
        self.rules.clock_set(to);
    }

    pub(crate) fn is_bursting(&self) -> bool {
        self.burst.is_open()
    }

    pub(crate) fn is_anomalous(&self) -> bool {
        self.is_told()
            || self.latency.is_open()
            || self.novelty.is_open()
            || self.logins.is_open()
            || self.templates.is_open()
            || self.status.is_open()
            || self.hosts.is_open()
            || self.rules.is_open()
    }

    /// A window with fewer lines than this is no spike.
    pub(crate) fn spike_at(&self) -> u64 {
        self.rate.spike_at()
    }

    /// Between two lines, ms; 0 while it is not known.
    pub(crate) fn usual_gap(&self, config: &Config) -> i64 {
        self.rate.usual_gap(config)
    }

    pub(crate) fn save(&self, family: Family, to: &mut Writer) {
        match family {
            Family::ErrorBurst => self.burst.save(to),
            Family::ErrorRate => self.error_rate.save(to),
            Family::Rate => self.rate.save(to),
            Family::Latency => self.latency.save(to),
            Family::Novelty => self.novelty.save(to),
            Family::Logins => self.logins.save(to),
            Family::Templates => self.templates.save(to),
            Family::Status => self.status.save(to),
            Family::Hosts => self.hosts.save(to),
            Family::Rules => self.rules.save(to),
        }
    }

    /// Puts what was kept of one family in its place.
    pub(crate) fn load(
        &mut self,
        family: Family,
        from: &mut Reader<'_>,
        config: &Config,
    ) -> Loaded<()> {
        match family {
            Family::ErrorBurst => self.burst = ErrorBurst::load(from, config)?,
            Family::ErrorRate => self.error_rate = ErrorRate::load(from, config)?,
            Family::Rate => self.rate = Rate::load(from, config)?,
            Family::Latency => self.latency = Latency::load(from, config)?,
            Family::Novelty => self.novelty = Novelty::load(from, config)?,
            Family::Logins => self.logins = Logins::load(from, config)?,
            Family::Templates => self.templates = Templates::load(from, config)?,
            Family::Status => self.status = Status::load(from, config)?,
            Family::Hosts => self.hosts = Hosts::load(from, config)?,
            Family::Rules => self.rules = Rules::load(from, config)?,
        }
        Ok(())
    }
}
