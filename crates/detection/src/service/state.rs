//! What is kept of a service, its families apart: those stand in sections of their own.

use super::{History, NameTag, Service};
use crate::{
    clock::{SETTLED, Standing},
    codec::{Loaded, Reader, Writer},
    config::Config,
    family::{Families, Family},
    finding::SampleLine,
    window::{Recent, Windows},
};

impl Service {
    pub(crate) fn save(&self, to: &mut Writer, config: &Config) {
        let History {
            // Who goes on from the snapshot says it again.
            is_moving: _,
            standing,
            others,
            slots,
            families: _,
            first_window,
            last_offset,
            line,
        } = &*self.history;
        to.flag(self.is_gone);
        to.u32(u32::from(self.lines.min(SETTLED + 1)));
        to.u32(self.round);
        to.i64(self.seen);
        standing.save(to);
        self.windows.save(others, to);
        self.recent.save(slots, to, config);
        to.moment(*first_window);
        to.i64(*last_offset);
        to.maybe(line.as_ref(), SampleLine::save);
    }

    pub(crate) fn save_family(&self, family: Family, to: &mut Writer) {
        self.history.families.save(family, to);
    }

    /// What [`Self::save`] wrote, with families that know nothing.
    pub(crate) fn load(name: &str, from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let is_gone = from.flag()?;
        let lines = from.u32()?.min(u32::from(SETTLED) + 1) as u16;
        let (round, seen) = (from.u32()?, from.millis()?);
        let standing = Standing::load(from)?;
        let (windows, others) = Windows::load(from, config)?;
        let (recent, slots) = Recent::load(from, config)?;
        let history = Box::new(History {
            is_moving: false,
            standing,
            others,
            slots,
            families: Families::new(config),
            first_window: from.moment()?,
            last_offset: from.i64()?,
            line: from.maybe(SampleLine::load)?,
        });
        Ok(Self {
            name: NameTag::of(name),
            is_bursting: false,
            is_unsettled: history.standing.is_unsettled(),
            is_gone,
            lines,
            round,
            seen,
            windows,
            recent,
            spike_at: history.families.spike_at(),
            history,
        })
    }

    pub(crate) fn load_family(
        &mut self,
        family: Family,
        from: &mut Reader<'_>,
        config: &Config,
    ) -> Loaded<()> {
        let families = &mut self.history.families;
        families.load(family, from, config)?;
        self.is_bursting = families.is_bursting();
        self.spike_at = families.spike_at();
        Ok(())
    }
}
