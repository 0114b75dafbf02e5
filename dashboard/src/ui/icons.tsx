import type { ReactNode } from 'react';

const Icon = ({ children, size = 16 }: { children: ReactNode; size?: number }) => (
  <svg
    className="icon"
    width={size}
    height={size}
    viewBox="0 0 16 16"
    fill="none"
    stroke="currentColor"
    strokeWidth="1.5"
    strokeLinecap="round"
    strokeLinejoin="round"
    aria-hidden="true"
    focusable="false"
  >
    {children}
  </svg>
);

/** A shape per severity, so that the colour is not alone in saying it. */
export function SeverityIcon({ level }: { level: string }) {
  switch (level) {
    case 'low':
      return (
        <Icon>
          <circle cx="8" cy="8" r="4.25" />
        </Icon>
      );
    case 'medium':
      return (
        <Icon>
          <path d="M8 2.5 13.5 8 8 13.5 2.5 8Z" fill="currentColor" fillOpacity="0.25" />
        </Icon>
      );
    case 'high':
      return (
        <Icon>
          <path d="M8 2.6 14 13.2H2Z" fill="currentColor" fillOpacity="0.35" />
        </Icon>
      );
    default:
      return (
        <Icon>
          <path d="M9.2 1.5 3.2 9.1h4L6.4 14.5l6.2-8h-4.2Z" fill="currentColor" />
        </Icon>
      );
  }
}

export const SunIcon = () => (
  <Icon>
    <circle cx="8" cy="8" r="3" />
    <path d="M8 1.2v1.3M8 13.5v1.3M1.2 8h1.3M13.5 8h1.3M3.2 3.2l.9.9M11.9 11.9l.9.9M3.2 12.8l.9-.9M11.9 4.1l.9-.9" />
  </Icon>
);

export const MoonIcon = () => (
  <Icon>
    <path d="M13.4 9.7A5.8 5.8 0 0 1 6.3 2.6a5.8 5.8 0 1 0 7.1 7.1Z" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="m3.5 3.5 9 9M12.5 3.5l-9 9" />
  </Icon>
);

export const CopyIcon = () => (
  <Icon size={14}>
    <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
    <path d="M10.5 3.5v-.2c0-.5-.4-.8-.8-.8H3.3c-.4 0-.8.3-.8.8v6.4c0 .4.4.8.8.8h.2" />
  </Icon>
);

export const CheckIcon = () => (
  <Icon size={14}>
    <path d="m3 8.5 3.2 3.2L13 4.8" />
  </Icon>
);

export const SearchIcon = () => (
  <Icon size={14}>
    <circle cx="7" cy="7" r="4.2" />
    <path d="m10.2 10.2 3.3 3.3" />
  </Icon>
);

export const WarnIcon = () => (
  <Icon>
    <circle cx="8" cy="8" r="6" />
    <path d="M8 4.8v4M8 11.2v.1" />
  </Icon>
);
