/** Of a traceback the line that says what happened. */
export const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

/** That line, of what begins with a traceback; '' of a message that begins with what happened. */
export const headline = (text: string): string => (/^(Traceback|  File)/.test(text) ? lastLine(text) : "");
