package ledger

// Finding is what an owner knows of an attempt whose outcome it does not know.
type Finding struct {
	Refused bool // the request was refused: a call that is not listed later was not created
	Shown   bool // the API showed the call, without an id that can be read: it was created
}

// Finding gives the claim what Hold is to record of its attempt.
func (c Claim) Finding(f Finding) Claim {
	c.finding = f
	return c
}

// Sent is how often the dial has been sent, this attempt included, as in Standing.
func (c Claim) Sent() int { return c.sent }
