import { memo } from 'react';

import type { Anomaly } from '../../api/types';
import { ExpectedRange } from '../../ui/ExpectedRange';
import { formatValue, humanise } from '../../ui/format';
import { SeverityBadge } from '../../ui/SeverityBadge';
import { StateBadge } from '../../ui/StateBadge';
import { Ago } from '../../ui/Time';

interface Props {
  anomaly: Anomaly;
  now: number;
  selected: boolean;
  /** Whether Tab stops here: one row of the list does. */
  tabStop: boolean;
}

/** The table listens for all of its rows, so that a burst draws only the new ones. */
export const AnomalyRow = memo(({ anomaly, now, selected, tabStop }: Props) => (
  <tr data-id={anomaly.id} data-level={anomaly.severity} data-selected={selected}>
    <td className="cell-severity">
      <SeverityBadge level={anomaly.severity} />
    </td>
    <th scope="row" className="cell-title">
      <button type="button" aria-expanded={selected} tabIndex={tabStop ? 0 : -1}>
        {anomaly.title}
      </button>
      <span className="cell-sub">
        {serviceText(anomaly)} <span aria-hidden="true">·</span> {humanise(anomaly.kind)}
      </span>
    </th>
    <td className="cell-values">
      <span className="values">
        <strong>{formatValue(anomaly.observed)}</strong>
        <span>
          {' '}
          <abbr title="expected" aria-label="expected">
            exp.
          </abbr>{' '}
          {formatValue(anomaly.expected)}
        </span>
      </span>
      <ExpectedRange {...anomaly} />
    </td>
    <td className="cell-when">
      <Ago at={anomaly.detected_at} now={now} />
    </td>
    <td className="cell-state">
      <StateBadge
        closed={anomaly.state === 'closed'}
        start={Date.parse(anomaly.window_start)}
        end={Date.parse(anomaly.window_end)}
        now={now}
      />
    </td>
  </tr>
));
AnomalyRow.displayName = 'AnomalyRow';

function serviceText({ service, services }: Anomaly): string {
  const others = services.filter((name) => name !== service).length;
  return others > 0 ? `${service} and ${others} more` : service;
}
