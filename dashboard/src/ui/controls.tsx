import { useId } from 'react';

export interface Choice<T extends string | number> {
  value: T;
  label: string;
}

interface SegmentedProps<T extends string | number> {
  legend: string;
  choices: readonly Choice<T>[];
  value: T;
  onChange: (value: T) => void;
}

/** Radio buttons that look like one control; the arrow keys are the browser's. */
export function Segmented<T extends string | number>(props: SegmentedProps<T>) {
  const name = useId();
  return (
    <fieldset className="segmented">
      <legend className="visually-hidden">{props.legend}</legend>
      {props.choices.map(({ value, label }) => (
        <label key={value}>
          <input
            type="radio"
            name={name}
            checked={value === props.value}
            onChange={() => {
              props.onChange(value);
            }}
          />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  );
}

interface SelectProps {
  label: string;
  choices: readonly Choice<string>[];
  value: string;
  onChange: (value: string) => void;
}

export function Select({ label, choices, value, onChange }: SelectProps) {
  return (
    <label className="select">
      <span className="select-label">{label}</span>
      <select
        value={value}
        onChange={(event) => {
          onChange(event.target.value);
        }}
      >
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
    </label>
  );
}
