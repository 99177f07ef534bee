"""What one key did in a day is counted in the audit."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("audit_by_actor", "audit", ["actor", "at"], unique=False)


def downgrade() -> None:
    op.drop_index("audit_by_actor", table_name="audit")
