import { useRef, useState, type KeyboardEvent } from 'react';

import type { Anomaly } from '../../api/types';
import { formatCount } from '../../ui/format';
import { AnomalyRow } from './AnomalyRow';

const PAGE = 10;
/** Rows drawn at first, and more on request: hundreds of them make a slow page. */
const STEP = 100;

interface Props {
  anomalies: readonly Anomaly[];
  selected: string | null;
  onSelect: (id: string) => void;
  now: number;
}

/** One tab stop; arrow keys, Home, End, Page Up and Page Down (or j and k) move in it. */
export function AnomalyTable({ anomalies, selected, onSelect, now }: Props) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [focused, setFocused] = useState<string | null>(null);
  const [most, setMost] = useState(STEP);
  const shown = anomalies.slice(0, most);
  const isShown = (id: string | null): boolean => shown.some((one) => one.id === id);
  const tabStop = isShown(focused) ? focused : isShown(selected) ? selected : shown[0]?.id;

  const focusRow = (id: string): void => {
    const rows = [...(body.current?.rows ?? [])];
    rows
      .find((row) => row.dataset.id === id)
      ?.querySelector('button')
      ?.focus();
  };

  const open = (target: EventTarget): void => {
    const id = idOf(target);
    if (id === null) return;
    // From anywhere in the row; the keyboard goes on from here.
    focusRow(id);
    onSelect(id);
  };

  const move = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const id = idOf(event.target);
    const from = shown.findIndex((one) => one.id === id);
    const last = shown.length - 1;
    const target = targetOf(event.key, from, last);
    if (from < 0 || target === null) return;
    event.preventDefault();
    const next = shown[Math.min(last, Math.max(0, target))];
    if (!next) return;
    focusRow(next.id);
    // An open detail follows the focus, so that the list can be read through with one key.
    if (selected !== null) onSelect(next.id);
  };

  return (
    <>
      <table className="anomalies">
        <caption className="visually-hidden">Anomalies, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Severity</th>
            <th scope="col">What happened</th>
            <th scope="col">Observed against expected</th>
            <th scope="col">Detected</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody
          ref={body}
          onClick={(event) => {
            open(event.target);
          }}
          onFocus={(event) => {
            setFocused(idOf(event.target));
          }}
          onKeyDown={move}
        >
          {shown.map((anomaly) => (
            <AnomalyRow
              key={anomaly.id}
              anomaly={anomaly}
              now={now}
              selected={anomaly.id === selected}
              tabStop={anomaly.id === tabStop}
            />
          ))}
        </tbody>
      </table>
      {anomalies.length > shown.length && (
        <p className="more">
          <button
            type="button"
            className="button"
            onClick={() => {
              setMost(most + STEP);
            }}
          >
            Show more ({formatCount(anomalies.length - shown.length)} left)
          </button>
        </p>
      )}
    </>
  );
}

function idOf(target: EventTarget): string | null {
  const row = target instanceof Element ? target.closest<HTMLElement>('tr[data-id]') : null;
  return row?.dataset.id ?? null;
}

function targetOf(key: string, from: number, last: number): number | null {
  switch (key) {
    case 'ArrowDown':
    case 'j':
      return from + 1;
    case 'ArrowUp':
    case 'k':
      return from - 1;
    case 'PageDown':
      return from + PAGE;
    case 'PageUp':
      return from - PAGE;
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return null;
  }
}
