/** Media ports (UDP) of the MFs that the suite starts: by its port in an m-line one knows the MF. */
export const MF_PORTS = {
  first: { firstPort: 20_000, lastPort: 26_999 },
  spare: { firstPort: 27_000, lastPort: 32_767 },
} as const;

/** The same as regular expressions. */
export const PORT_AT = { first: '2[0-6][0-9][0-9][0-9]', spare: '(2[7-9]|3[0-2])[0-9][0-9][0-9]' } as const;
