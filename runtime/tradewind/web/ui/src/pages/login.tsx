import { useRef, useState, type FormEvent } from "react";
import { ApiError } from "../api/client";
import { Mark } from "../parts/icons";
import { sentence } from "../parts/problem";
import { useTitle } from "../parts/title";
import { go } from "../router";
import { signIn } from "../state/session";

/** Only an address of these pages is gone to after signing in. */
const inside = (next: string): string => (/^(dags|admin|inputs|browse)?([/?]|$)/.test(next) && !next.startsWith("//") ? next : "");

function explained(problem: unknown): string {
  if (problem instanceof ApiError && problem.status === 401) return "Username or password is wrong. Try again.";
  return sentence("Signing in failed", problem);
}

export function LoginPage({ next }: { next: string }) {
  useTitle("Sign in");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const password = useRef<HTMLInputElement>(null);

  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    const typed = new FormData(event.currentTarget);
    setBusy(true);
    setProblem("");
    try {
      await signIn(String(typed.get("username")), String(typed.get("password")));
      go(inside(next), "replace");
    } catch (cause) {
      setProblem(explained(cause));
      setBusy(false);
      password.current?.select();
    }
  };

  return (
    <main className="login">
      <form className="card" onSubmit={(event) => void submit(event)} aria-labelledby="login-title">
        <Mark size={44} />
        <h1 id="login-title">Sign in to Tradewind</h1>
        <label className="field">
          <span>Username</span>
          <input name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} required autoFocus />
        </label>
        <label className="field">
          <span>Password</span>
          <input ref={password} name="password" type="password" autoComplete="current-password" required
            aria-describedby={problem ? "login-problem" : undefined} />
        </label>
        {problem && <p id="login-problem" className="bad" role="alert">{problem}</p>}
        <button type="submit" className="primary" disabled={busy}>{busy ? "Signing in…" : "Sign in"}</button>
        <p className="faint">
          First start? <code>tradewind standalone</code> printed the password of <code>admin</code>; it also lies in
          its home folder.
        </p>
      </form>
    </main>
  );
}
