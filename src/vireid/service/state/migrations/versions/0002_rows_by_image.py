"""Rows of reports name their picture, so that they can go with it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job_rows", schema=None) as batch_op:
        batch_op.add_column(sa.Column("image", sa.String(length=64), nullable=True))
        batch_op.create_index("job_rows_by_image", ["image"], unique=False)
    rows = sa.table("job_rows", sa.column("job"), sa.column("number"), sa.column("image"), sa.column("row", sa.JSON))
    connection = op.get_bind()
    for job, number, row in connection.execute(sa.select(rows.c.job, rows.c.number, rows.c.row)).all():
        this = sa.and_(rows.c.job == job, rows.c.number == number)
        connection.execute(sa.update(rows).where(this).values(image=row.get("image")))


def downgrade() -> None:
    with op.batch_alter_table("job_rows", schema=None) as batch_op:
        batch_op.drop_index("job_rows_by_image")
        batch_op.drop_column("image")
