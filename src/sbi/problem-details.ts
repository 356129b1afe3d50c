/** RFC 9457 as TS 29.571 ProblemDetails. */
export interface ProblemDetails {
  type?: string;
  title?: string;
  status: number;
  detail?: string;
  instance?: string;
  cause?: string;
  invalidParams?: { param: string; reason: string }[];
}
