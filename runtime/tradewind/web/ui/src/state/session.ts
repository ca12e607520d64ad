/** Who is signed in. */
import { api, ApiError, whenSignedOut } from "../api/client";
import type { Me } from "../api/types";
import { go, here, to } from "../router";
import { Shared } from "./shared";

export const session = new Shared<Me | null>(null);

/** Goes to the sign-in page, and remembers what was wanted. */
export function goToSignIn(): void {
  session.set(null);
  const wanted = here();
  if (!wanted.startsWith("login")) go(to(["login"], { next: wanted }), "replace");
}

export async function startSession(): Promise<void> {
  whenSignedOut(goToSignIn);
  try {
    session.set(await api.me());
  } catch (problem) {
    // Signed out is dealt with above; a server that can't be reached is told by the page itself.
    if (!(problem instanceof ApiError)) throw problem;
  }
}

export async function signIn(username: string, password: string): Promise<void> {
  await api.login(username, password);
  session.set(await api.me());
}

export async function signOut(): Promise<void> {
  await api.logout();
  session.set(null);
  go("login", "replace");
}
