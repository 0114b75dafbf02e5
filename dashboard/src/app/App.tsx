import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import { anomaliesOf } from '../api/anomalyBook';
import { useAnomalyFeed } from '../api/useAnomalyFeed';
import { AnomaliesPanel } from '../features/anomalies/AnomaliesPanel';
import { AnomalyDetail } from '../features/anomalies/AnomalyDetail';
import { EVERYTHING, type ListFilter } from '../features/anomalies/filter';
import { LivePanel } from '../features/live/LivePanel';
import { Totals } from '../features/live/Totals';
import { useMediaQuery, useNow } from '../ui/hooks';
import { useTheme } from '../ui/theme';
import { Announcer } from './Announcer';
import { describe } from './connection';
import { Header } from './Header';
import { useSelection } from './selection';

/** Below this the detail covers the page instead of standing beside the list. */
const NARROW = '(max-width: 900px)';

export function App() {
  const { snapshot, feed } = useAnomalyFeed();
  const { theme, toggle } = useTheme();
  const now = useNow();
  const isNarrow = useMediaQuery(NARROW);
  const [selected, select] = useSelection();
  const [minutes, setMinutes] = useState(15);
  const [filter, setFilter] = useState<ListFilter>(EVERYTHING);
  const opener = useRef<Element | null>(null);

  const { book, listing, status } = snapshot;
  const anomalies = useMemo(() => anomaliesOf(book), [book]);
  const open = selected === null ? null : (book.byId.get(selected) ?? null);
  const connection = describe(status, now);
  const isCovered = isNarrow && selected !== null;

  const change = useCallback((part: Partial<ListFilter>) => {
    setFilter((before) => ({ ...before, ...part }));
  }, []);
  const openDetail = useCallback(
    (id: string) => {
      opener.current = document.activeElement;
      select(id);
    },
    [select],
  );
  const close = useCallback(() => {
    select(null);
    // After the page behind is no longer inert.
    window.requestAnimationFrame(() => {
      if (opener.current instanceof HTMLElement) opener.current.focus();
    });
  }, [select]);

  useEffect(() => {
    if (selected === null) return;
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && !event.defaultPrevented) close();
    };
    window.addEventListener('keydown', onKeyDown);
    return () => {
      window.removeEventListener('keydown', onKeyDown);
    };
  }, [selected, close]);

  const ongoing = anomalies.filter((one) => one.state !== 'closed').length;
  useEffect(() => {
    document.title = ongoing > 0 ? `(${ongoing}) Barograph` : 'Barograph';
  }, [ongoing]);

  return (
    <>
      <div className="page" inert={isCovered}>
        <a className="skip" href="#anomalies-title">
          Skip to the anomalies
        </a>
        <Header
          snapshot={snapshot}
          connection={connection}
          onForgetMissed={feed.forgetMissed}
          theme={theme}
          onToggleTheme={toggle}
          now={now}
        />
        <main data-detail={selected !== null && !isNarrow}>
          <Totals now={now} />
          <LivePanel
            minutes={minutes}
            onMinutes={setMinutes}
            service={filter.service}
            onService={(service) => {
              change({ service });
            }}
            anomalies={anomalies}
            selected={selected}
            onSelect={openDetail}
            theme={theme}
            compact={isNarrow}
            now={now}
          />
          <AnomaliesPanel
            listing={listing}
            anomalies={anomalies}
            filter={filter}
            onFilter={change}
            onClearFilter={() => {
              setFilter(EVERYTHING);
            }}
            onRetry={feed.reload}
            selected={selected}
            onSelect={openDetail}
            staleSince={connection.staleSince}
            now={now}
          />
          {selected !== null && !isNarrow && detail(false)}
        </main>
      </div>
      {isCovered && detail(true)}
      <Announcer arrived={snapshot.arrived} />
    </>
  );

  function detail(modal: boolean) {
    return (
      <AnomalyDetail
        listing={listing}
        anomaly={open}
        onClose={close}
        onRetry={feed.reload}
        staleSince={connection.staleSince}
        now={now}
        modal={modal}
      />
    );
  }
}
