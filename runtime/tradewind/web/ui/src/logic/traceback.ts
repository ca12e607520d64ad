/** Of a traceback the line that says what happened. */
export const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";
