/** A position in a policy, as people count: lines and columns start at 1. */
export interface Place {
  /** The file's name as it was given to `loadFiles` or `loadStr`; undefined for text without a name. */
  readonly file: string | undefined;
  readonly line: number;
  readonly column: number;
}

/** One policy text. Positions are kept as offsets and turned into lines only when somebody asks. */
export class PolicySource {
  readonly text: string;
  readonly file: string | undefined;
  #lineStarts: number[] | undefined;

  constructor(text: string, file?: string) {
    // As Oso's engine reads it. Offsets stay the same.
    this.text = text.toWellFormed();
    this.file = file;
  }

  placeAt(offset: number): Place {
    this.#lineStarts ??= findLineStarts(this.text);
    const starts = this.#lineStarts;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return { file: this.file, line: low + 1, column: offset - (starts[low] as number) + 1 };
  }
}

/** Whatever knows where in a policy it was written. */
export interface Located {
  readonly source: PolicySource;
  readonly offset: number;
  /** The offset behind its last character. */
  readonly end: number;
}

export function placeOf({ source, offset }: Omit<Located, 'end'>): Place {
  return source.placeAt(offset);
}

/** `policy.polar:3:7`, or `line 3, column 7` if the text had no name. */
export function formatPlace({ file, line, column }: Place): string {
  return file === undefined ? `line ${line}, column ${column}` : `${file}:${line}:${column}`;
}

function findLineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}
