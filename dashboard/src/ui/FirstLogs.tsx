import { Copy } from './Copy';

const WAYS = [
  { what: 'a simulated fleet with faults', command: 'barograph demo' },
  {
    what: 'one line of your own',
    command: `echo '{"service":"checkout","level":"ERROR","message":"hello, storm"}' | kcat -P -b localhost:9092 -t app-logs -k checkout`,
  },
];

/** How the first lines get in. */
export const FirstLogs = () => (
  <ul className="first-logs">
    {WAYS.map(({ what, command }) => (
      <li key={what}>
        <span>Send {what}</span>
        <div className="command">
          <code>{command}</code>
          <Copy text={command} what={`the command for ${what}`} />
        </div>
      </li>
    ))}
  </ul>
);
